//! The figures of a comparison as tables for other programs: CSV with numbers in full, an empty cell where there is none.

mod classes;
mod methods;
mod runs;
mod steps;
mod tuning;

use crate::Result;
use crate::comparison::{Comparison, MethodRun};

/// A table.
pub(super) struct Table {
    /// Name of its file.
    pub(super) name: &'static str,
    columns: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Table {
    /// The file.
    pub(super) fn csv(&self) -> Result<Vec<u8>> {
        let mut csv = csv::Writer::from_writer(Vec::new());
        csv.write_record(self.columns)?;
        for row in &self.rows {
            csv.write_record(row)?;
        }
        Ok(csv.into_inner().map_err(|error| error.into_error())?)
    }
}

/// Names of all tables, each written even where it has no row.
pub(super) const NAMES: [&str; 13] = [
    "methods.csv",
    "pairs.csv",
    "runs.csv",
    "failures.csv",
    "curves.csv",
    "accuracy_by_bytes.csv",
    "accuracy_by_seconds.csv",
    "bytes.csv",
    "confusion.csv",
    "classes.csv",
    "domains.csv",
    "holdings.csv",
    "tuning.csv",
];

/// All tables of a comparison, in the order of [`NAMES`].
pub(super) fn tables(comparison: &Comparison) -> [Table; NAMES.len()] {
    [
        methods::methods(comparison),
        methods::pairs(comparison),
        runs::runs(comparison),
        runs::failures(comparison),
        steps::curves(comparison),
        steps::accuracy_by_bytes(comparison),
        steps::accuracy_by_seconds(comparison),
        runs::bytes(comparison),
        classes::confusion(comparison),
        classes::classes(comparison),
        runs::domains(comparison),
        classes::holdings(comparison),
        tuning::tuning(comparison),
    ]
}

/// Every run with the name of its method.
fn all_runs(comparison: &Comparison) -> impl Iterator<Item = (&str, &MethodRun)> {
    comparison.methods.iter().flat_map(|method| {
        let runs = method.runs.iter();
        runs.map(|run| (method.name.as_str(), run))
    })
}

/// A number that not every row has.
fn optional(value: Option<f64>) -> String {
    value.map_or_else(String::new, crate::csv_cells::number)
}
