//! Files of a report, each whole or not there at all.

use std::io;
use std::path::{Path, PathBuf};

use promptfed_files::write_whole;
use serde::Serialize;

use super::plots::{self, Drawing, STEMS};
use super::{files, predictions, ranks, render, shown, tables};
use crate::Result;
use crate::comparison::Comparison;
use crate::summary::MethodSummary;

const PREDICTIONS: &str = "predictions.csv";

/// Where a report was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportFiles {
    /// The HTML document.
    pub html: PathBuf,
    /// The JSON file beside it: `methods` (one row of figures each) and `comparison` (everything, without images).
    pub json: PathBuf,
    /// `predictions.csv` beside them: what every model says of every test image.
    pub predictions: PathBuf,
    /// The tables, in the folder `tables` beside them: CSV.
    pub tables: Vec<PathBuf>,
    /// The figures, in the folder `figures` beside them: SVG. A figure that would show nothing is left out.
    pub figures: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Record<'a> {
    methods: Vec<MethodSummary>,
    comparison: &'a Comparison,
}

/// Writes the report to `path` and its numbers beside it under the same name with the ending `.json`, `predictions.csv`, and the folders
/// `tables` and `figures`.
///
/// Missing folders are made. A file that was there is replaced whole at the end, so a reader never sees half a report; a figure of another
/// comparison that this one has not is removed, and whatever else is in the folders stays.
/// The HTML is written last: where it is, its numbers are too. Figures that are not finite are `null` in the JSON.
///
/// # Errors
/// If `path` has no file name or ends in `.json`, or if a file cannot be written; the message names the file.
pub fn write(comparison: &Comparison, path: &Path) -> Result<ReportFiles> {
    let json = path.with_extension("json");
    if path.file_name().is_none() || json == path {
        let message = format!(
            "{} is no name for it; name a file that ends in .html",
            path.display()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message).into());
    }
    let mut record = serde_json::to_string_pretty(&Record {
        methods: comparison.summary(),
        comparison,
    })?;
    record.push('\n');
    write_whole(&json, record.as_bytes())?;
    let predicted = path.with_file_name(PREDICTIONS);
    write_whole(&predicted, &predictions::csv(comparison)?)?;
    let tables = write_tables(comparison, &path.with_file_name(files::TABLES))?;
    let figures = write_figures(comparison, &path.with_file_name(files::FIGURES))?;
    write_whole(path, render(comparison).as_bytes())?;
    Ok(ReportFiles {
        html: path.to_owned(),
        json,
        predictions: predicted,
        tables,
        figures,
    })
}

fn write_tables(comparison: &Comparison, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for table in tables::tables(comparison) {
        let file = folder.join(table.name);
        write_whole(&file, &table.csv()?)?;
        written.push(file);
    }
    Ok(written)
}

fn write_figures(comparison: &Comparison, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut drawings = plots::drawings(comparison);
    drawings.extend(ranks::drawing(comparison).ok());
    let names: Vec<String> = drawings.iter().map(Drawing::file_name).collect();
    for stale in earlier_figures(folder, &names) {
        fs_err::remove_file(stale)?;
    }
    let shown = format!("{}; {}", comparison.title, shown::all_seeds(comparison));
    let mut written = Vec::new();
    for (drawing, name) in drawings.iter().zip(&names) {
        let file = folder.join(name);
        write_whole(&file, drawing.document(&shown).as_bytes())?;
        written.push(file);
    }
    Ok(written)
}

/// Figures of a report in a folder, but for those of these names.
fn earlier_figures(folder: &Path, names: &[String]) -> Vec<PathBuf> {
    let is_stale = |name: &str| {
        let stem = name.strip_suffix(".svg");
        let is_ours = stem.is_some_and(|stem| {
            STEMS.iter().any(|known| match known.strip_suffix('-') {
                Some(_) => stem.starts_with(known),
                None => stem == *known,
            })
        });
        is_ours && !names.iter().any(|new| new == name)
    };
    let entries = fs_err::read_dir(folder).into_iter().flatten().flatten();
    let stale = entries.filter(|entry| is_stale(&entry.file_name().to_string_lossy()));
    stale.map(|entry| entry.path()).collect()
}
