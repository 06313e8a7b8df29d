//! What was taken for what, how well each class was recognised, and who holds images of it.

use super::{Table, all_runs, optional};
use crate::comparison::Comparison;
use crate::csv_cells::text;
use crate::report::counts::Counts;

/// Pairs that never occurred have no row.
pub(super) fn confusion(comparison: &Comparison) -> Table {
    let mut rows = Vec::new();
    for (method, run) in all_runs(comparison) {
        for (label, row) in run.evaluation.confusion.iter().enumerate() {
            for (predicted, count) in row.iter().enumerate().filter(|(_, count)| **count > 0) {
                rows.push(vec![
                    text(method),
                    run.seed.to_string(),
                    class(comparison, label),
                    class(comparison, predicted),
                    count.to_string(),
                ]);
            }
        }
    }
    Table {
        name: "confusion.csv",
        columns: &["method", "seed", "label", "predicted", "count"],
        rows,
    }
}

/// All seeds of a method together; the support is the number of a class's test images.
pub(super) fn classes(comparison: &Comparison) -> Table {
    let counts = Counts::of_all(comparison);
    let rows = counts.iter().flat_map(|(_, method, counts)| {
        let names = comparison.data.classes.iter().enumerate();
        names.map(move |(class, name)| {
            vec![
                text(&method.name),
                text(name),
                optional(counts.precision(class)),
                optional(counts.recall(class)),
                optional(counts.f1(class)),
                counts
                    .support(class, comparison.data.test_images)
                    .to_string(),
            ]
        })
    });
    Table {
        name: "classes.csv",
        columns: &["method", "class", "precision", "recall", "f1", "support"],
        rows: rows.collect(),
    }
}

/// Private images by client and class; classes that a client has no image of have no row.
pub(super) fn holdings(comparison: &Comparison) -> Table {
    let rows = comparison.data.clients.iter().flat_map(|client| {
        let held = client.images_per_class.iter().enumerate();
        held.filter(|(_, images)| **images > 0)
            .map(move |(label, images)| {
                vec![
                    text(&client.name),
                    class(comparison, label),
                    images.to_string(),
                ]
            })
    });
    Table {
        name: "holdings.csv",
        columns: &["client", "class", "images"],
        rows: rows.collect(),
    }
}

/// The name of a class; its number where it has none.
fn class(comparison: &Comparison, label: usize) -> String {
    let name = comparison.data.classes.get(label);
    name.map_or_else(|| label.to_string(), |name| text(name))
}
