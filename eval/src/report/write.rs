//! Files of a report, each whole or not there at all.

use std::io;
use std::path::{Path, PathBuf};

use promptfed_files::write_whole;
use serde::Serialize;

use super::render;
use crate::Result;
use crate::comparison::Comparison;
use crate::summary::MethodSummary;

/// Where a report was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportFiles {
    /// The HTML document.
    pub html: PathBuf,
    /// The JSON file beside it: `methods` (one row of figures each) and `comparison` (everything, without images).
    pub json: PathBuf,
}

#[derive(Serialize)]
struct Record<'a> {
    methods: Vec<MethodSummary>,
    comparison: &'a Comparison,
}

/// Writes the report to `path` and its numbers beside it under the same name with the ending `.json`.
///
/// Missing folders are made. A file that was there is replaced whole at the end, so a reader never sees half a report.
/// The JSON is written first: where the HTML is, its numbers are too. Figures that are not finite are `null` in it.
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
    write_whole(path, render(comparison).as_bytes())?;
    Ok(ReportFiles {
        html: path.to_owned(),
        json,
    })
}
