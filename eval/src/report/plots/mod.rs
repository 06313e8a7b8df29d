//! Figures as SVG, in the page and as files. Colours come from the style sheet by series class.

mod axis;
mod cost;
mod critical_difference;
mod curves;
mod domain_bars;
mod drawing;
mod frame;
mod marks;
mod matrix;
mod recall;
mod simulated;
mod spans;
mod stems;
mod text;

use crate::comparison::Comparison;

pub(super) use cost::accuracy_by_bytes;
pub(super) use critical_difference::critical_difference;
pub(super) use curves::learning_curves;
pub(super) use domain_bars::{accuracy, accuracy_by_domain, domains};
pub(super) use drawing::{Drawing, STYLE};
pub(super) use marks::{series, swatch};
pub(super) use recall::recall_by_class;
pub(super) use simulated::accuracy_by_seconds;

/// What the names of files begin with that were written for another comparison in the same folder.
pub(super) const STEMS: [&str; 8] = [
    "accuracy_by_bytes",
    "accuracy_by_seconds",
    "loss-",
    "validation-",
    "confusion-",
    "recall",
    "domains",
    "critical_difference",
];

/// Every figure of a comparison, but for its ranks.
pub(super) fn drawings(comparison: &Comparison) -> Vec<Drawing> {
    let mut all: Vec<Drawing> = cost::cost(comparison).into_iter().collect();
    all.extend(simulated::simulated(comparison));
    all.extend(curves::curves(comparison));
    all.extend(matrix::matrices(comparison));
    all.extend(recall::recall(comparison));
    all.extend(domain_bars::domain_bars(comparison));
    all
}

/// The place and the name of each method.
fn names_of(comparison: &Comparison) -> Vec<(usize, String)> {
    let methods = comparison.methods.iter().enumerate();
    methods
        .map(|(index, method)| (index, method.name.clone()))
        .collect()
}
