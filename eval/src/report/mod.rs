//! The report of a comparison: one HTML file that opens offline, the same numbers as JSON and CSV, and its figures as SVG.

mod classes;
mod confusion;
mod counts;
mod data;
mod differences;
mod domains;
mod files;
mod format;
mod fusion;
mod gallery;
mod grid;
mod headline;
mod page;
mod plots;
mod predictions;
mod prompts;
mod provenance;
mod ranks;
mod shown;
mod simulated;
mod table;
mod tables;
mod tuning;
mod verdict;
mod write;

pub use format::bytes;
pub use fusion::write_fusion;
pub use grid::{GridComparison, grid_folder, write_grid};
pub use ranks::critical_difference;
pub use write::{ReportFiles, write};

use crate::comparison::Comparison;
use crate::role;

/// The report as one HTML document: style, figures and images are inside it, it loads nothing and runs no script.
///
/// All texts of the comparison are escaped. Equal comparisons give equal documents.
pub fn render(comparison: &Comparison) -> String {
    page::page(comparison).into_string()
}
