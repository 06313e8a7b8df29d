//! Learning curves: training loss and validation accuracy of every seed, one pair of panels per method.

use maud::{Markup, html};

use super::axis::Axis;
use super::frame::{Frame, px};
use super::marks::{line, series, swatch};
use crate::comparison::{Comparison, MethodResult, MethodRun};
use crate::report::role::Role;

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = 410.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = HEIGHT - 50.0;

/// One figure's value at every epoch of a run; NaN where it was not measured.
type Figure = fn(&MethodRun) -> Vec<f64>;

fn loss(run: &MethodRun) -> Vec<f64> {
    run.curve
        .iter()
        .map(|epoch| f64::from(epoch.train_loss))
        .collect()
}

fn validation(run: &MethodRun) -> Vec<f64> {
    run.curve
        .iter()
        .map(|epoch| {
            // Records of before have the plain accuracy alone.
            let measured = epoch.validation_balanced_accuracy;
            measured
                .or(epoch.validation_accuracy)
                .map_or(f64::NAN, f64::from)
        })
        .collect()
}

pub(in crate::report) fn learning_curves(comparison: &Comparison) -> Markup {
    let trained: Vec<_> = comparison
        .methods
        .iter()
        .enumerate()
        .filter(|(_, method)| method.runs.iter().any(|run| !run.curve.is_empty()))
        .collect();
    if trained.is_empty() {
        return html! { p.note { "No method recorded its training." } };
    }
    // One scale for all methods, so that their panels can be compared.
    let top = |figure: Figure| {
        let values = trained.iter().flat_map(|(_, m)| &m.runs).flat_map(figure);
        values.filter(|v| v.is_finite()).fold(0.0, f64::max)
    };
    let (highest_loss, highest_accuracy) = (top(loss), top(validation));
    html! {
        p.note {
            "A line is one seed; a dot marks the model that was kept. Accuracy is the mean over classes. The vertical "
            "axes are the same for all methods."
        }
        @for (i, method) in trained {
            figure.panels {
                figcaption.name { (swatch(i)) " " (method.name) }
                (panel(i, method, loss, highest_loss, "training loss", &|v| format!("{}", (v * 100.0).round() / 100.0)))
                (panel(i, method, validation, highest_accuracy, "validation accuracy", &|v| {
                    format!("{:.0}\u{a0}%", v * 100.0)
                }))
            }
        }
        @let silent: Vec<_> = comparison.methods.iter()
            .filter(|m| m.runs.iter().all(|run| run.curve.is_empty()))
            .map(|m| m.name.as_str()).collect();
        @if !silent.is_empty() { p.note { "Without training: " (silent.join(", ")) "." } }
    }
}

fn panel(
    index: usize,
    method: &MethodResult,
    figure: Figure,
    highest: f64,
    y_title: &str,
    y_label: &dyn Fn(f64) -> String,
) -> Markup {
    if !method.runs.iter().flat_map(figure).any(f64::is_finite) {
        return html! { p.note.empty { "No " (y_title) " was measured." } };
    }
    let unit = if Role::of(&method.name) == Role::Federated {
        "round"
    } else {
        "epoch"
    };
    let epochs = method
        .runs
        .iter()
        .map(|run| run.curve.len())
        .max()
        .unwrap_or(1);
    let frame = Frame {
        width: WIDTH,
        height: HEIGHT,
        x: Axis::linear(1.0, epochs as f64, LEFT, RIGHT),
        y: Axis::from_zero(highest, BOTTOM, TOP),
        y_labels_end: LEFT - 8.0,
        x_title: unit,
        y_title,
        x_label: &|v| {
            if v.fract() == 0.0 && v <= epochs as f64 {
                format!("{v:.0}")
            } else {
                String::new()
            }
        },
        y_label,
    };
    let inside = html! {
        @for run in &method.runs {
            @let points: Vec<_> = figure(run).iter().enumerate()
                .map(|(epoch, value)| (frame.x.position(epoch as f64 + 1.0), frame.y.position(*value)))
                .collect();
            @if points.len() > 1 { (line(index, points.iter().copied())) }
            @let kept = if points.len() == 1 { Some(0) } else { run.selected };
            @if let Some((x, y)) = kept.and_then(|kept| points.get(kept)).filter(|(_, y)| y.is_finite()) {
                circle.kept.(series(index)) cx=(px(*x)) cy=(px(*y)) r="4" {
                    title { "seed " (run.seed) ", kept: " (unit) " " (kept.unwrap_or(0) + 1) }
                }
            }
        }
    };
    frame.draw(&format!("{y_title} of {} by {unit}", method.name), &inside)
}
