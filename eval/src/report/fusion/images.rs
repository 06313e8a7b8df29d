//! The most and the least useful images of each class with their numbers.

use base64::{Engine, prelude::BASE64_STANDARD};
use maud::{Markup, html};
use promptfed_synth::fuse::Ranked;

use super::Fusion;

/// Classes shown.
const MOST_CLASSES: usize = 60;

pub(super) fn images(fusion: &Fusion) -> Markup {
    let report = &fusion.report;
    html! {
        p.note {
            "By influence on held-out images where it was worked out (below 0 an image lowers their loss), else by the task models' "
            "confidence, else by weight. An image that was not chosen has weight 0. Hover an image for its prompt and its numbers."
        }
        @for (class, name) in report.class_names.iter().enumerate().take(MOST_CLASSES) {
            @let of = |ranked: &&Ranked| ranked.image.class as usize == class;
            section.class {
                h3 { (name) }
                (row("most useful", fusion, report.best.iter().filter(of)))
                (row("least useful", fusion, report.worst.iter().filter(of)))
            }
        }
        @if report.class_names.len() > MOST_CLASSES {
            p.note { "And " (report.class_names.len() - MOST_CLASSES) " more classes, in report.json." }
        }
    }
}

fn row<'a>(title: &str, fusion: &Fusion, images: impl Iterator<Item = &'a Ranked>) -> Markup {
    html! {
        h4 { (title) }
        div.scroll {
            table {
                tbody {
                    tr {
                        @for ranked in images {
                            td {
                                @match fusion.pictures.get(&ranked.image) {
                                    Some(png) => {
                                        img width="64" height="64" title=(ranked.image.prompt) alt=(ranked.image.prompt)
                                            src={ "data:image/png;base64," (BASE64_STANDARD.encode(png)) };
                                    }
                                    None => { span.note { "not readable" } }
                                }
                                p.note { (numbers(ranked)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn numbers(ranked: &Ranked) -> Markup {
    let image = &ranked.image;
    let shown = |value: Option<f32>| value.map(|v| format!("{v:.3}"));
    html! {
        (image.backend) ", round " (image.round) br;
        @if let Some(domain) = &image.domain { (domain) br; }
        @if let Some(confidence) = shown(image.confidence) { "confidence " (confidence) br; }
        @if let Some(variability) = shown(image.variability) { "variability " (variability) br; }
        @if let Some(influence) = image.influence { "influence " (format!("{influence:.2e}")) br; }
        @if ranked.chosen { "weight " (format!("{:.2}", image.weight)) br; }
        (image.reason)
    }
}
