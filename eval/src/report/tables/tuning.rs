//! Learning rates that were tried.

use super::{Table, optional};
use crate::comparison::Comparison;
use crate::csv_cells::{single, text};

pub(super) fn tuning(comparison: &Comparison) -> Table {
    let rows = comparison.tuned.iter().flat_map(|tuned| {
        tuned.scores.iter().map(|score| {
            vec![
                text(&tuned.method),
                single(score.rate),
                optional(score.accuracy),
                (score.rate == tuned.chosen).to_string(),
            ]
        })
    });
    Table {
        name: "tuning.csv",
        columns: &["method", "learning_rate", "balanced_accuracy", "chosen"],
        rows: rows.collect(),
    }
}
