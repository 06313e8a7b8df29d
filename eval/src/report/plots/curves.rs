//! Learning curves: training loss and validation accuracy over all seeds, one pair of panels per method.

use maud::{Markup, html};

use super::axis::Axis;
use super::drawing::Drawing;
use super::frame::{Frame, px};
use super::marks::{series, swatch};
use super::spans::{band, spans};
use super::stems::stems;
use crate::comparison::{Comparison, MethodResult, MethodRun};
use crate::report::files;
use crate::report::shown::all_seeds;
use crate::role::step_of;

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = 410.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = HEIGHT - 50.0;

/// What a panel shows.
#[derive(Clone, Copy)]
enum Figure {
    Loss,
    Validation,
}

impl Figure {
    /// By epoch; NaN where it was not measured.
    fn of(self, run: &MethodRun) -> Vec<f64> {
        let epochs = run.curve.iter();
        match self {
            Self::Loss => epochs.map(|epoch| f64::from(epoch.train_loss)).collect(),
            Self::Validation => epochs
                .map(|epoch| {
                    // Records of before have the plain accuracy alone.
                    let measured = epoch.validation_balanced_accuracy;
                    measured
                        .or(epoch.validation_accuracy)
                        .map_or(f64::NAN, f64::from)
                })
                .collect(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Loss => "training loss",
            Self::Validation => "validation accuracy",
        }
    }

    fn stem(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Validation => "validation",
        }
    }

    fn label(self, value: f64) -> String {
        match self {
            Self::Loss => format!("{}", (value * 100.0).round() / 100.0),
            Self::Validation => format!("{:.0}\u{a0}%", value * 100.0),
        }
    }
}

/// What was trained, with its place among all methods, and one scale for all, so that their panels can be compared.
struct Trained<'a> {
    methods: Vec<(usize, &'a MethodResult)>,
    stems: Vec<String>,
    highest_loss: f64,
    highest_accuracy: f64,
}

impl<'a> Trained<'a> {
    fn of(comparison: &'a Comparison) -> Self {
        let methods = comparison.methods.iter().enumerate();
        let methods: Vec<(usize, &MethodResult)> = methods
            .filter(|(_, method)| method.runs.iter().any(|run| !run.curve.is_empty()))
            .collect();
        let highest = |figure: Figure| {
            let runs = methods.iter().flat_map(|(_, m)| &m.runs);
            let values = runs.flat_map(|run| figure.of(run));
            values.filter(|v| v.is_finite()).fold(0.0, f64::max)
        };
        Self {
            highest_loss: highest(Figure::Loss),
            highest_accuracy: highest(Figure::Validation),
            stems: stems(comparison),
            methods,
        }
    }

    /// `None` where the figure was not measured.
    fn panel(&self, index: usize, method: &MethodResult, figure: Figure) -> Option<Drawing> {
        let seeds: Vec<Vec<f64>> = method.runs.iter().map(|run| figure.of(run)).collect();
        if !seeds.iter().flatten().any(|value| value.is_finite()) {
            return None;
        }
        let unit = unit(method);
        let epochs = seeds.iter().map(Vec::len).max().unwrap_or(1);
        let highest = match figure {
            Figure::Loss => self.highest_loss,
            Figure::Validation => self.highest_accuracy,
        };
        let frame = Frame {
            height: HEIGHT,
            x: Axis::linear(1.0, epochs as f64, LEFT, RIGHT),
            y: Axis::from_zero(highest, BOTTOM, TOP),
            y_labels_end: LEFT - 8.0,
            x_title: unit,
            y_title: figure.name(),
            x_label: &|v| {
                if v.fract() == 0.0 && v <= epochs as f64 {
                    format!("{v:.0}")
                } else {
                    String::new()
                }
            },
            y_label: &|value| figure.label(value),
        };
        let x = |step: usize| frame.x.position(step as f64 + 1.0);
        let y = |value: f64| frame.y.position(value);
        let inside = html! {
            (band(index, &spans(&seeds), x, y))
            @for (run, values) in method.runs.iter().zip(&seeds) {
                @let kept = if values.len() == 1 { Some(0) } else { run.selected };
                @if let Some((kept, value)) = kept.and_then(|kept| Some((kept, values.get(kept)?))).filter(|(_, v)| v.is_finite()) {
                    circle.kept.(series(index)) cx=(px(x(kept))) cy=(px(y(*value))) r="4" {
                        title { "seed " (run.seed) ", kept: " (unit) " " (kept + 1) }
                    }
                }
            }
        };
        let method_stem = self.stems.get(index).map_or("", String::as_str);
        Some(Drawing {
            stem: format!("{}-{method_stem}", figure.stem()),
            title: format!("{} of {} by {unit}", figure.name(), method.name),
            width: WIDTH,
            height: HEIGHT,
            key: Vec::new(),
            body: frame.around(&inside),
        })
    }
}

fn unit(method: &MethodResult) -> &'static str {
    step_of(&method.name)
}

/// Every panel that has something to show.
pub(super) fn curves(comparison: &Comparison) -> Vec<Drawing> {
    let trained = Trained::of(comparison);
    let methods = trained.methods.iter();
    let panels = methods.flat_map(|(index, method)| {
        [Figure::Loss, Figure::Validation].map(|figure| trained.panel(*index, method, figure))
    });
    panels.flatten().collect()
}

pub(in crate::report) fn learning_curves(comparison: &Comparison) -> Markup {
    let trained = Trained::of(comparison);
    if trained.methods.is_empty() {
        return html! { p.note { "No method recorded its training." } };
    }
    html! {
        p.note {
            "A line is the mean over seeds, the band around it spans all of them; a ring marks the model that was kept of each seed. "
            "Accuracy is the mean over classes. The vertical axes are the same for all methods. Shown: " (all_seeds(comparison)) "."
        }
        @for (index, method) in &trained.methods {
            figure.panels {
                figcaption.name { (swatch(*index)) " " (method.name) }
                @for figure in [Figure::Loss, Figure::Validation] {
                    @match trained.panel(*index, method, figure) {
                        Some(panel) => (panel.inline()),
                        None => p.note.empty { "No " (figure.name()) " was measured." },
                    }
                }
            }
        }
        @let silent: Vec<_> = comparison.methods.iter()
            .filter(|m| m.runs.iter().all(|run| run.curve.is_empty()))
            .map(|m| m.name.as_str()).collect();
        @if !silent.is_empty() { p.note { "Without training: " (silent.join(", ")) "." } }
        (files::note(&["loss-\u{2026}.svg", "validation-\u{2026}.svg"], &[]))
    }
}
