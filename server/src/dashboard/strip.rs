//! The plan of a round's images as strips: a cell for each stretch, marked by what has become of its images.

use std::sync::Arc;

use maud::{Markup, html};
use promptfed_prompts::protocol::{RoundId, RoundSpec};
use promptfed_synth::job::{JobRecord, Stretch, Stretches, read_manifest};

use super::gallery::of_job;
use crate::Result;
use crate::data_folder::DataFolder;
use crate::job::Strip;
use crate::state::AppState;

/// Size of a cell, in units of the drawing.
const WIDTH: usize = 10;
const HEIGHT: usize = 24;

/// Stretches with images that were set aside that are told of in words.
const MOST_TOLD: usize = 10;

/// What has become of a stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Drawn,
    BeingDrawn,
    /// Images of it were given up, or its engine was.
    SetAside,
    Waiting,
}

const MARKS: [Mark; 4] = [Mark::Drawn, Mark::BeingDrawn, Mark::SetAside, Mark::Waiting];

impl Mark {
    fn of(strip: &Strip, stretch: &Stretch) -> Self {
        let is_whole = stretch.done() == stretch.images;
        if !is_whole && strip.next.is_some_and(|next| stretch.holds(next)) {
            Self::BeingDrawn
        } else if stretch.rejected > 0 || (strip.is_set_aside && !is_whole) {
            Self::SetAside
        } else if is_whole {
            Self::Drawn
        } else {
            Self::Waiting
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Drawn => "drawn",
            Self::BeingDrawn => "being drawn",
            Self::SetAside => "set aside",
            Self::Waiting => "waiting",
        }
    }

    /// Each has a shape of its own: a full cell, a half one, one that is crossed out, a line.
    fn cell(self, left: usize) -> Markup {
        let (class, top) = match self {
            Self::Drawn => ("drawn", 0),
            Self::BeingDrawn => ("being-drawn", HEIGHT / 2),
            Self::SetAside => ("set-aside", 0),
            Self::Waiting => ("waiting", HEIGHT - 3),
        };
        let right = left + WIDTH - 1;
        html! {
            rect class=(class) x=(left) y=(top) width=(WIDTH - 1) height=(HEIGHT - top) {}
            @if self == Self::SetAside {
                path.cross d=(format!("M{left} 0L{right} {HEIGHT}M{right} 0L{left} {HEIGHT}")) {}
            }
        }
    }
}

/// Where in the plans of a round's sources images are done: as its job tells, else as the manifests say.
pub(super) async fn known(state: &AppState, round: RoundId, spec: &RoundSpec) -> Vec<Strip> {
    if let Some(strips) = state.jobs.strips().of(round) {
        return strips;
    }
    let (folder, spec) = (Arc::clone(&state.folder), spec.clone());
    match state.store(move |_| read(&folder, round, &spec)).await {
        Ok(strips) => {
            state.jobs.strips().keep(round, strips.clone());
            strips
        }
        // The rest of the page can be shown.
        Err(error) => {
            tracing::warn!(%round, %error, "manifests of a round cannot be read");
            Vec::new()
        }
    }
}

fn read(folder: &DataFolder, round: RoundId, spec: &RoundSpec) -> Result<Vec<Strip>> {
    let mut strips = Vec::new();
    for source in of_job(folder.synthetic(round), spec)? {
        let mut stretches = Stretches::of(JobRecord::read(&source.folder)?.planned);
        for row in read_manifest(&source.folder)? {
            let row = row?;
            stretches.count(row.index, row.file.is_some());
        }
        strips.push(Strip {
            source: source.name,
            stretches,
            next: None,
            is_set_aside: source.is_set_aside,
        });
    }
    Ok(strips)
}

/// The strips of a round, one for each source that has begun.
pub(super) fn strips(strips: &[Strip]) -> Markup {
    html! {
        @if strips.is_empty() { p { "No image is drawn yet." } }
        @for strip in strips { (of_source(strip)) }
    }
}

fn of_source(strip: &Strip) -> Markup {
    let stretches: Vec<(Mark, &Stretch)> = strip
        .stretches
        .iter()
        .map(|stretch| (Mark::of(strip, stretch), stretch))
        .collect();
    let count = |mark| stretches.iter().filter(|(there, _)| *there == mark).count();
    let told = MARKS.map(|mark| format!("{} {}", count(mark), mark.words()));
    let title = format!("Images of {} by stretch: {}", strip.source, told.join(", "));
    let width = WIDTH * stretches.len().max(1);
    html! {
        figure {
            svg.strip viewBox=(format!("0 0 {width} {HEIGHT}")) preserveAspectRatio="none" role="img" aria-label=(title) {
                @for (i, (mark, stretch)) in stretches.iter().enumerate() {
                    g { title { (images(stretch)) ": " (mark.words()) } (mark.cell(WIDTH * i)) }
                }
            }
            figcaption {
                "Images of " (strip.source) " by stretch of the plan"
                ul.legend {
                    @for mark in MARKS {
                        li {
                            svg.sample viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) aria-hidden="true" { (mark.cell(0)) }
                            (count(mark)) " " (mark.words())
                        }
                    }
                }
                (set_aside(strip, &stretches))
            }
        }
    }
}

/// The stretches with images that were set aside, in words.
fn set_aside(strip: &Strip, stretches: &[(Mark, &Stretch)]) -> Markup {
    let lacking = stretches.iter().map(|(_, stretch)| stretch);
    let lacking: Vec<_> = lacking.filter(|stretch| stretch.rejected > 0).collect();
    let left = lacking.len().saturating_sub(MOST_TOLD);
    html! {
        @if strip.is_set_aside { p { "The engine was set aside: what it has not drawn is left out." } }
        @if !lacking.is_empty() {
            p {
                "Set aside after their last attempt: "
                @for (i, stretch) in lacking.iter().take(MOST_TOLD).enumerate() {
                    @if i > 0 { "; " }
                    (stretch.rejected) " of " (images(stretch))
                }
                @if left > 0 { "; and some of " (left) " more stretches" }
                "."
            }
        }
    }
}

fn images(stretch: &Stretch) -> String {
    match stretch.images {
        1 => format!("image {}", stretch.first),
        images => format!("images {} to {}", stretch.first, stretch.first + images - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plan of 400 images of which 150 are done, the 130th of them rejected.
    fn strip() -> Strip {
        let mut stretches = Stretches::of(400);
        (0..150).for_each(|index| stretches.count(index, index != 130));
        Strip {
            source: "<noise>".to_owned(),
            stretches,
            next: Some(150),
            is_set_aside: false,
        }
    }

    fn marks(strip: &Strip) -> String {
        let mark = |stretch| match Mark::of(strip, stretch) {
            Mark::Drawn => 'D',
            Mark::BeingDrawn => 'b',
            Mark::SetAside => 'x',
            Mark::Waiting => '.',
        };
        strip.stretches.iter().map(mark).collect()
    }

    #[test]
    fn each_cell_says_what_became_of_its_images() {
        let mut strip = strip();
        let begun = format!("{}x{}b{}", "D".repeat(32), "D".repeat(4), ".".repeat(62));
        assert_eq!(marks(&strip), begun);
        // It was stopped: nothing is being drawn, and what is left waits.
        strip.next = None;
        assert_eq!(marks(&strip), begun.replace('b', "."));
        strip.is_set_aside = true;
        assert_eq!(marks(&strip), begun.replace(['b', '.'], "x"));
    }

    #[test]
    fn what_is_seen_is_also_told() {
        let drawn = strips(&[strip()]).into_string();
        let label =
            "Images of &lt;noise&gt; by stretch: 36 drawn, 1 being drawn, 1 set aside, 62 waiting";
        assert!(
            drawn.contains(&format!("aria-label=\"{label}\"")),
            "{drawn}"
        );
        assert!(drawn.contains("1 of images 128 to 131."), "{drawn}");
        assert!(drawn.contains("<title>images 148 to 151: being drawn</title>"));
        assert_eq!(drawn.matches("<title>").count(), 100);
        // One in the strip, one in what explains it.
        assert_eq!(drawn.matches("class=\"cross\"").count(), 2);
        assert!(strips(&[]).into_string().contains("No image"));
    }
}
