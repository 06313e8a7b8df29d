//! Test accuracy against the bytes that crossed: one point per seed, and the way there where it is known.

use maud::{Markup, html};

use super::axis::Axis;
use super::drawing::Drawing;
use super::frame::{Frame, px};
use super::marks::{key, line, marker};
use super::names_of;
use crate::comparison::{Comparison, MethodRun};
use crate::report::files;
use crate::report::format::{self, bytes_tick, percent, plural};
use crate::report::shown::all_seeds;
use crate::role::Role;

// The same place for both ways to see what accuracy costs: bytes here, simulated seconds beside it.
pub(super) const WIDTH: f64 = 760.0;
pub(super) const HEIGHT: f64 = 430.0;
pub(super) const LEFT: f64 = 58.0;
pub(super) const RIGHT: f64 = 730.0;
pub(super) const TOP: f64 = 34.0;
pub(super) const BOTTOM: f64 = HEIGHT - 52.0;
/// Width of the lane for runs without bytes, which have no place on a logarithmic axis.
const LANE: f64 = 44.0;
/// The break between that lane and the axis.
const BREAK: f64 = 26.0;

pub(in crate::report) fn accuracy_by_bytes(comparison: &Comparison) -> Markup {
    let Some(drawing) = cost(comparison) else {
        return html! { p.note { "No run with a measured accuracy sent any bytes, so there is nothing to plot." } };
    };
    let all = comparison.methods.iter().flat_map(|m| &m.runs);
    let unmeasured = all.count() - runs(comparison).count();
    html! {
        figure {
            (key(&drawing.key))
            div.scroll { (drawing.inline()) }
            figcaption {
                "A point is the finished model of one seed. A line is the accuracy on the way there, which is shown "
                "and never used to choose a model. Further left is cheaper, further up is better. Shown: " (all_seeds(comparison)) "."
                @if has_lane(comparison) {
                    " Runs that sent nothing stand in the lane \u{201c}0\u{a0}B\u{201d} left of the break: a "
                    "logarithmic axis has no zero."
                }
                @if unmeasured > 0 {
                    " Not drawn, having no accuracy: " (plural(unmeasured, "run", "runs")) "."
                }
            }
        }
        (files::note(&["accuracy_by_bytes.svg"], &[]))
    }
}

/// `None` where no run that can be drawn sent a byte.
pub(super) fn cost(comparison: &Comparison) -> Option<Drawing> {
    let steps = || {
        runs(comparison)
            .flat_map(|run| &run.accuracy_by_bytes)
            .filter(|(bytes, accuracy)| *bytes > 0 && measured(*accuracy))
    };
    let costs: Vec<u64> = runs(comparison)
        .map(MethodRun::bytes)
        .chain(steps().map(|s| s.0))
        .filter(|b| *b > 0)
        .collect();
    let (low, high) = (costs.iter().min()?, costs.iter().max()?);
    let best = runs(comparison)
        .map(|r| r.evaluation.accuracy)
        .chain(steps().map(|s| s.1))
        .fold(0.0, f64::max);
    let lane = has_lane(comparison);
    let left = if lane { LEFT + LANE + BREAK } else { LEFT };
    let frame = Frame {
        height: HEIGHT,
        x: Axis::decades(*low as f64, *high as f64, left, RIGHT),
        y: Axis::from_zero(best, BOTTOM, TOP),
        y_labels_end: LEFT - 8.0,
        x_title: "bytes both ways, all clients (logarithmic axis)",
        y_title: "test accuracy",
        x_label: &bytes_tick,
        y_label: &|share| format!("{:.0}\u{a0}%", share * 100.0),
    };
    Some(Drawing {
        stem: "accuracy_by_bytes".to_owned(),
        title: "Test accuracy against bytes".to_owned(),
        width: WIDTH,
        height: HEIGHT,
        key: names_of(comparison),
        body: frame.around(&inside(comparison, &frame, lane)),
    })
}

/// The runs that have a place.
fn runs(comparison: &Comparison) -> impl Iterator<Item = &MethodRun> {
    let all = comparison.methods.iter().flat_map(|method| &method.runs);
    all.filter(|run| measured(run.evaluation.accuracy))
}

/// Whether a run sent nothing.
fn has_lane(comparison: &Comparison) -> bool {
    runs(comparison).any(|run| run.bytes() == 0)
}

/// Whether there is an accuracy to draw.
fn measured(accuracy: f64) -> bool {
    (0.0..=1.0).contains(&accuracy)
}

fn inside(comparison: &Comparison, frame: &Frame<'_>, lane: bool) -> Markup {
    let zero = LEFT + LANE / 2.0;
    let place = |bytes: u64| {
        if bytes == 0 {
            zero
        } else {
            frame.x.position(bytes as f64)
        }
    };
    html! {
        @if lane { (empty_lane(frame, zero)) }
        @for method in comparison.methods.iter().filter(|m| Role::of(&m.name) == Role::Floor) {
            @let level = method.accuracy().mean;
            @if measured(level) {
                @let y = px(frame.y.position(level));
                line.level x1=(px(LEFT)) x2=(px(RIGHT)) y1=(y) y2=(y) {}
                text.tick.end x=(px(RIGHT)) y=(y) dy="-0.5em" { (method.name) " " (percent(level)) }
            }
        }
        @for (i, method) in comparison.methods.iter().enumerate() {
            @for run in &method.runs {
                @let steps = run.accuracy_by_bytes.iter().filter(|(bytes, accuracy)| *bytes > 0 && measured(*accuracy));
                (line(i, steps.map(|(bytes, accuracy)| (place(*bytes), frame.y.position(*accuracy)))))
            }
        }
        @for (i, method) in comparison.methods.iter().enumerate() {
            @for run in method.runs.iter().filter(|run| measured(run.evaluation.accuracy)) {
                @let title = format!(
                    "{}, seed {}: {} with {}",
                    method.name, run.seed, percent(run.evaluation.accuracy), format::bytes(run.bytes()),
                );
                (marker(i, place(run.bytes()), frame.y.position(run.evaluation.accuracy), &title))
            }
        }
    }
}

fn empty_lane(frame: &Frame<'_>, zero: f64) -> Markup {
    let right = LEFT + LANE;
    let (bottom, top) = (frame.y.start(), frame.y.end());
    html! {
        rect.lane x=(px(LEFT)) y=(px(top)) width=(px(LANE)) height=(px(bottom - top)) {}
        @for value in frame.y.ticks() {
            @let y = px(frame.y.position(value));
            line.grid x1=(px(LEFT)) x2=(px(right)) y1=(y) y2=(y) {}
        }
        line.axis x1=(px(LEFT)) x2=(px(right)) y1=(px(bottom)) y2=(px(bottom)) {}
        text.tick.middle x=(px(zero)) y=(px(bottom + 20.0)) { "0\u{a0}B" }
        // Two strokes across the axis where it is broken.
        @for x in [right + 8.0, right + 14.0] {
            line.axis x1=(px(x - 2.0)) x2=(px(x + 4.0)) y1=(px(bottom + 6.0)) y2=(px(bottom - 6.0)) {}
        }
    }
}
