//! The report of a comparison: one HTML file that opens offline, and the same numbers as JSON.

mod classes;
mod confusion;
mod data;
mod domains;
mod format;
mod fusion;
mod gallery;
mod headline;
mod page;
mod plots;
mod prompts;
mod provenance;
mod role;
mod table;
mod verdict;
mod write;

pub use format::bytes;
pub use fusion::write_fusion;
pub use write::{ReportFiles, write};

use crate::comparison::Comparison;

/// The report as one HTML document: style, figures and images are inside it, it loads nothing and runs no script.
///
/// All texts of the comparison are escaped. Equal comparisons give equal documents.
pub fn render(comparison: &Comparison) -> String {
    page::page(comparison).into_string()
}
