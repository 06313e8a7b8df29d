//! Names of the files beside the page, and how they are told.

use maud::{Markup, html};

/// The folder of figures beside the page.
pub(super) const FIGURES: &str = "figures";
/// The folder of tables beside the page.
pub(super) const TABLES: &str = "tables";

/// Says that the figures of a section are also files.
pub(super) fn note(figures: &[&str], tables: &[&str]) -> Markup {
    let figures = figures.iter().map(|name| format!("{FIGURES}/{name}"));
    let tables = tables.iter().map(|name| format!("{TABLES}/{name}"));
    let all: Vec<String> = figures.chain(tables).collect();
    html! {
        p.note.files {
            "As files: "
            @for (i, name) in all.iter().enumerate() {
                @if i > 0 { ", " }
                code { (name) }
            }
            "."
        }
    }
}
