//! What happened on the way: epochs or rounds of training, and accuracies after so many bytes and simulated seconds.

use super::{Table, all_runs};
use crate::comparison::Comparison;
use crate::csv_cells::{number, single, text};
use crate::role::step_of;

/// Steps are rounds of federated methods and epochs of the others, counted from 1.
pub(super) fn curves(comparison: &Comparison) -> Table {
    let optional = |value: Option<f32>| value.map_or_else(String::new, single);
    let rows = all_runs(comparison).flat_map(|(method, run)| {
        let unit = step_of(method);
        run.curve.iter().enumerate().map(move |(index, step)| {
            vec![
                text(method),
                run.seed.to_string(),
                unit.to_owned(),
                (index + 1).to_string(),
                single(step.learning_rate),
                single(step.train_loss),
                single(step.train_accuracy),
                optional(step.validation_accuracy),
                optional(step.validation_balanced_accuracy),
                (run.selected == Some(index)).to_string(),
            ]
        })
    });
    Table {
        name: "curves.csv",
        columns: &[
            "method",
            "seed",
            "unit",
            "step",
            "learning_rate",
            "train_loss",
            "train_accuracy",
            "validation_accuracy",
            "validation_balanced_accuracy",
            "kept",
        ],
        rows: rows.collect(),
    }
}

pub(super) fn accuracy_by_bytes(comparison: &Comparison) -> Table {
    let rows = all_runs(comparison).flat_map(|(method, run)| {
        let steps = run.accuracy_by_bytes.iter();
        steps.map(move |(bytes, accuracy)| {
            vec![
                text(method),
                run.seed.to_string(),
                bytes.to_string(),
                number(*accuracy),
            ]
        })
    });
    Table {
        name: "accuracy_by_bytes.csv",
        columns: &["method", "seed", "bytes", "accuracy"],
        rows: rows.collect(),
    }
}

pub(super) fn accuracy_by_seconds(comparison: &Comparison) -> Table {
    let rows = all_runs(comparison).flat_map(|(method, run)| {
        let steps = run.accuracy_by_seconds.iter();
        steps.map(move |(seconds, accuracy)| {
            vec![
                text(method),
                run.seed.to_string(),
                number(*seconds),
                number(*accuracy),
            ]
        })
    });
    Table {
        name: "accuracy_by_seconds.csv",
        columns: &["method", "seed", "simulated_seconds", "accuracy"],
        rows: rows.collect(),
    }
}
