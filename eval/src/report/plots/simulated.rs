//! Test accuracy against simulated time: the way of every run, and where it ends.

use maud::{Markup, html};

use super::axis::Axis;
use super::cost::{BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH};
use super::drawing::Drawing;
use super::frame::{Frame, px};
use super::marks::{key, line, marker};
use super::names_of;
use crate::comparison::{Comparison, MethodRun};
use crate::report::files;
use crate::report::format::{percent, seconds};
use crate::report::shown::all_seeds;

pub(in crate::report) fn accuracy_by_seconds(comparison: &Comparison) -> Markup {
    let Some(drawing) = simulated(comparison) else {
        return html! { p.note { "No run has an accuracy on the simulated clock." } };
    };
    html! {
        figure {
            (key(&drawing.key))
            div.scroll { (drawing.inline()) }
            figcaption {
                "A line is the test accuracy of one seed on its way, which is shown and never used to choose a model; a point is its end. "
                "Further left is sooner. Shown: " (all_seeds(comparison)) "."
            }
        }
        (files::note(&["accuracy_by_seconds.svg"], &["accuracy_by_seconds.csv"]))
    }
}

/// `None` where no run has a step on the simulated clock.
pub(super) fn simulated(comparison: &Comparison) -> Option<Drawing> {
    let all = || {
        let runs = comparison.methods.iter().flat_map(|method| &method.runs);
        runs.flat_map(steps)
    };
    let low = all().map(|(seconds, _)| seconds).reduce(f64::min)?;
    let high = all().map(|(seconds, _)| seconds).reduce(f64::max)?;
    let best = all().map(|(_, accuracy)| accuracy).fold(0.0, f64::max);
    let frame = Frame {
        height: HEIGHT,
        x: Axis::decades(low, high, LEFT, RIGHT),
        y: Axis::from_zero(best, BOTTOM, TOP),
        y_labels_end: LEFT - 8.0,
        x_title: "simulated time (logarithmic axis)",
        y_title: "test accuracy",
        x_label: &seconds,
        y_label: &|share| format!("{:.0}\u{a0}%", share * 100.0),
    };
    let place =
        |(seconds, accuracy): (f64, f64)| (frame.x.position(seconds), frame.y.position(accuracy));
    let inside = html! {
        @if let Some(target) = comparison.target_accuracy {
            @let y = px(frame.y.position(target));
            @if target <= best {
                line.level x1=(px(LEFT)) x2=(px(RIGHT)) y1=(y) y2=(y) {}
                text.tick.end x=(px(RIGHT)) y=(y) dy="-0.5em" { "waited for: " (percent(target)) }
            }
        }
        @for (i, method) in comparison.methods.iter().enumerate() {
            @for run in &method.runs { (line(i, steps(run).map(place))) }
        }
        @for (i, method) in comparison.methods.iter().enumerate() {
            @for run in &method.runs {
                @if let Some((when, accuracy)) = steps(run).last() {
                    @let (x, y) = place((when, accuracy));
                    @let title = format!("{}, seed {}: {} after {}", method.name, run.seed, percent(accuracy), seconds(when));
                    (marker(i, x, y, &title))
                }
            }
        }
    };
    Some(Drawing {
        stem: "accuracy_by_seconds".to_owned(),
        title: "Test accuracy against simulated time".to_owned(),
        width: WIDTH,
        height: HEIGHT,
        key: names_of(comparison),
        body: frame.around(&inside),
    })
}

/// The steps that have a place.
fn steps(run: &MethodRun) -> impl Iterator<Item = (f64, f64)> {
    let steps = run.accuracy_by_seconds.iter().copied();
    steps.filter(|(seconds, accuracy)| {
        (1e-9..1e15).contains(seconds) && (0.0..=1.0).contains(accuracy)
    })
}
