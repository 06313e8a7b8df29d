//! The figures of all comparisons of a grid together.

use crate::commands::compare::table::accuracy;
use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use promptfed_eval::csv_cells::text;
use promptfed_eval::method_row::{COLUMNS, cells as row_of};
use promptfed_eval::report::bytes;
use promptfed_eval::summary::MethodSummary;
use promptfed_files::write_whole;
use serde::Serialize;
use std::path::Path;

/// One method on one data set and partition.
#[derive(Serialize)]
pub(in crate::commands::compare) struct Row {
    pub(in crate::commands::compare) data: String,
    pub(in crate::commands::compare) partition: String,
    #[serde(flatten)]
    pub(in crate::commands::compare) summary: MethodSummary,
}

/// Names of the files.
pub(super) const CSV: &str = "results.csv";
const JSON: &str = "results.json";

/// Writes them as a table and as a record.
pub(super) fn write(rows: &[Row], out: &Path) -> Result<()> {
    let mut record = serde_json::to_string_pretty(rows)?;
    record.push('\n');
    write_whole(&out.join(JSON), record.as_bytes())?;
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(["data", "partition"].into_iter().chain(COLUMNS))?;
    for row in rows {
        let place = [text(&row.data), text(&row.partition)];
        csv.write_record(place.into_iter().chain(row_of(&row.summary)))?;
    }
    let bytes = csv.into_inner().map_err(|error| error.into_error())?;
    Ok(write_whole(&out.join(CSV), &bytes)?)
}

/// As a table in a terminal.
pub(super) fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header([
        "data",
        "partition",
        "method",
        "accuracy, %",
        "macro F1",
        "up, all",
        "down, all",
    ]);
    for Row {
        data,
        partition,
        summary,
    } in rows
    {
        table.add_row([
            data.clone(),
            partition.clone(),
            summary.name.clone(),
            accuracy(summary),
            format!("{:.3}", summary.macro_f1),
            bytes(summary.bytes_up),
            bytes(summary.bytes_down),
        ]);
    }
    for column in table.column_iter_mut().skip(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
