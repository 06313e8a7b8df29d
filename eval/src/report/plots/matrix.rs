//! A method's confusion matrix; in the page it is a table.

use maud::html;

use super::drawing::Drawing;
use super::frame::px;
use super::recall::scale;
use super::stems::stems;
use super::text::short;
use crate::comparison::Comparison;
use crate::report::confusion::{MAX_CLASSES, MAX_NUMBERED, share_of_row};
use crate::report::counts::Counts;

const LEFT: f64 = 150.0;
const TOP: f64 = 136.0;
/// Room for the cells.
const SIDE: f64 = 560.0;
/// Widest and narrowest cell.
const CELL: (f64, f64) = (12.0, 40.0);
/// Characters of a name.
const ROW_NAME: usize = 20;
const COLUMN_NAME: usize = 16;

/// One for each method that classified test images; none where the cells would be too small.
pub(super) fn matrices(comparison: &Comparison) -> Vec<Drawing> {
    let classes = &comparison.data.classes;
    if classes.len() > MAX_CLASSES {
        return Vec::new();
    }
    let stems = stems(comparison);
    let counts = Counts::of_all(comparison).into_iter();
    counts
        .map(|(index, method, counts)| {
            let stem = stems.get(index).map_or("", String::as_str);
            drawing(&method.name, stem, classes, &counts)
        })
        .collect()
}

fn drawing(name: &str, stem: &str, classes: &[String], counts: &Counts) -> Drawing {
    let cell = (SIDE / classes.len() as f64).clamp(CELL.0, CELL.1);
    let numbered = classes.len() <= MAX_NUMBERED;
    let size = cell * classes.len() as f64;
    let body = html! {
        text.tick.end x=(px(LEFT - 10.0)) y=(px(TOP - 10.0)) { "label \u{2193} prediction \u{2192}" }
        @for (class, name) in classes.iter().enumerate() {
            @let middle = cell * (class as f64 + 0.5);
            text.tick.end x=(px(LEFT - 10.0)) y=(px(TOP + middle)) dy="0.35em" { (short(name, ROW_NAME)) }
            text.tick transform=(format!("translate({:.1} {:.1}) rotate(-90)", LEFT + middle + 4.0, TOP - 8.0)) {
                (short(name, COLUMN_NAME))
            }
        }
        @for (label, row) in counts.matrix().iter().enumerate() {
            @for (predicted, hits) in row.iter().enumerate().filter(|(_, hits)| **hits > 0) {
                @let share = share_of_row(*hits, row);
                @let (x, y) = (LEFT + cell * predicted as f64, TOP + cell * label as f64);
                rect.heat x=(px(x)) y=(px(y)) width=(px(cell)) height=(px(cell)) fill-opacity=(format!("{share:.2}")) {
                    title { (classes[label]) " taken for " (classes[predicted]) ": " (hits) }
                }
                @if numbered {
                    text.small.middle.on[share >= 0.5] x=(px(x + cell / 2.0)) y=(px(y + cell / 2.0)) dy="0.35em" {
                        (format!("{:.0}", share * 100.0))
                    }
                }
            }
        }
        rect.cells x=(px(LEFT)) y=(px(TOP)) width=(px(size)) height=(px(size)) {}
        (scale(TOP + size + 14.0))
    };
    Drawing {
        stem: format!("confusion-{stem}"),
        title: format!(
            "Confusion matrix of {name}: what images show (rows) and what they were taken for (columns), in percent of the row, all seeds together"
        ),
        width: (LEFT + size + 10.0).max(640.0),
        height: TOP + size + 40.0,
        key: Vec::new(),
        body,
    }
}
