//! Recall by class: a strip of cells for each method.

use maud::{Markup, html};

use super::drawing::Drawing;
use super::frame::px;
use super::text::short;
use crate::comparison::Comparison;
use crate::report::counts::Counts;
use crate::report::files;
use crate::report::format::percent;
use crate::report::shown::all_seeds;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 740.0;
/// A strip, and what is between two.
const ROW: f64 = 22.0;
const GAP: f64 = 3.0;
/// Below the strips: what the colours mean.
const BELOW: f64 = 44.0;
/// Up to so many classes each has a name; up to so many a cell of its own.
const MAX_NAMED: usize = 40;
const MAX_CELLS: usize = 100;
/// Shades of sorted strips.
const SHADES: f64 = 20.0;
/// Widest cell.
const MAX_CELL: f64 = 40.0;
/// Characters of a class's and of a method's name, and the room for the former.
const CLASS_NAME: usize = 16;
const METHOD_NAME: usize = 19;
const NAMES: f64 = 118.0;

/// Cells side by side with the same recall; none of classes without test images.
struct Cell {
    width: f64,
    recall: Option<f64>,
    title: String,
}

pub(in crate::report) fn recall_by_class(comparison: &Comparison) -> Markup {
    let Some(drawing) = recall(comparison) else {
        return html! {};
    };
    let classes = comparison.data.classes.len();
    html! {
        h3 { "Recall by class" }
        figure {
            div.scroll { (drawing.inline()) }
            figcaption {
                "The share of each class's test images that was recognised, all seeds together. "
                @if classes > MAX_CELLS { "The classes of each method stand from the least to the best recognised, so columns are not the same class. " }
                @else if classes > MAX_NAMED { "A column is a class, in the order of the labels. " }
                "Shown: " (all_seeds(comparison)) "."
            }
        }
        (files::note(&["recall.svg"], &[]))
    }
}

/// `None` where no test image was classified.
pub(super) fn recall(comparison: &Comparison) -> Option<Drawing> {
    let classes = &comparison.data.classes;
    let counts = Counts::of_all(comparison);
    if counts.is_empty() {
        return None;
    }
    let cell = ((RIGHT - LEFT) / classes.len() as f64).min(MAX_CELL);
    let named = classes.len() <= MAX_NAMED;
    let top = if named { NAMES } else { 6.0 };
    let bottom = top + (ROW + GAP) * counts.len() as f64;
    let body = html! {
        @if named {
            @for (class, name) in classes.iter().enumerate() {
                @let x = LEFT + cell * (class as f64 + 0.5) + 4.0;
                text.tick transform=(format!("translate({x:.1} {:.1}) rotate(-90)", top - 6.0)) {
                    title { (name) }
                    (short(name, CLASS_NAME))
                }
            }
        }
        @for (row, (_, method, counts)) in counts.iter().enumerate() {
            @let y = top + (ROW + GAP) * row as f64;
            text.end x=(px(LEFT - 10.0)) y=(px(y + ROW / 2.0)) dy="0.35em" {
                title { (method.name) }
                (short(&method.name, METHOD_NAME))
            }
            (strip(&cells(counts, classes, cell), y))
            rect.cells x=(px(LEFT)) y=(px(y)) width=(px(cell * classes.len() as f64)) height=(px(ROW)) {}
        }
        (scale(bottom + 12.0))
        rect.unseen x=(px(LEFT + 330.0)) y=(px(bottom + 12.0)) width="16" height="14" {}
        text.tick x=(px(LEFT + 351.0)) y=(px(bottom + 19.0)) dy="0.35em" { "no test image" }
    };
    Some(Drawing {
        stem: "recall".to_owned(),
        title: "Recall by class, all seeds together".to_owned(),
        width: WIDTH,
        height: bottom + BELOW,
        key: Vec::new(),
        body,
    })
}

/// One cell for each class; where they are many, sorted and joined by shade.
fn cells(counts: &Counts, classes: &[String], width: f64) -> Vec<Cell> {
    let recalls = (0..classes.len()).map(|class| counts.recall(class));
    if classes.len() <= MAX_CELLS {
        let cell = |(name, recall): (&String, Option<f64>)| Cell {
            width,
            recall,
            title: match recall {
                Some(recall) => format!("{name}: {}", percent(recall)),
                None => format!("{name}: no test image"),
            },
        };
        return classes.iter().zip(recalls).map(cell).collect();
    }
    let mut shades: Vec<Option<u64>> = recalls
        .map(|recall| recall.map(|recall| (recall * SHADES).round() as u64))
        .collect();
    // Classes without images come last.
    shades.sort_by_key(|shade| shade.unwrap_or(u64::MAX));
    let cell = |alike: &[Option<u64>]| {
        let recall = alike[0].map(|shade| shade as f64 / SHADES);
        let told = recall.map_or("no test image".to_owned(), |r| {
            format!("about {}", percent(r))
        });
        Cell {
            width: width * alike.len() as f64,
            recall,
            title: format!("{} of the classes: {told}", alike.len()),
        }
    };
    shades.chunk_by(|a, b| a == b).map(cell).collect()
}

fn strip(cells: &[Cell], y: f64) -> Markup {
    let mut x = LEFT;
    let mut places = Vec::with_capacity(cells.len());
    for cell in cells {
        places.push((x, cell));
        x += cell.width;
    }
    html! {
        @for (x, cell) in &places {
            @match cell.recall {
                Some(recall) => {
                    rect.heat x=(place(*x)) y=(px(y)) width=(place(cell.width)) height=(px(ROW)) fill-opacity=(format!("{recall:.2}")) {
                        title { (cell.title) }
                    }
                }
                None => {
                    rect.unseen x=(place(*x)) y=(px(y)) width=(place(cell.width)) height=(px(ROW)) { title { (cell.title) } }
                }
            }
        }
    }
}

/// A thousand cells side by side need more than one decimal.
fn place(value: f64) -> String {
    format!("{value:.3}")
}

/// What the colours mean.
pub(super) fn scale(y: f64) -> Markup {
    html! {
        @for step in 0..5 {
            @let share = f64::from(step) / 4.0;
            @let x = LEFT + 64.0 * f64::from(step);
            rect.heat x=(px(x)) y=(px(y)) width="16" height="14" fill-opacity=(format!("{share:.2}")) {}
            rect.cells x=(px(x)) y=(px(y)) width="16" height="14" {}
            text.tick x=(px(x + 21.0)) y=(px(y + 7.0)) dy="0.35em" { (format!("{:.0}\u{a0}%", share * 100.0)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::MethodResult;

    #[test]
    fn many_classes_are_joined_by_shade() {
        let method: MethodResult = serde_json::from_value(serde_json::json!({
            "name": "fgl", "description": "", "runs": [],
        }))
        .unwrap();
        assert!(Counts::of(&method, 3).is_none());
        let classes: Vec<String> = (0..1200).map(|i| format!("class {i}")).collect();
        let mut matrix = vec![vec![0; 1200]; 1200];
        for (class, row) in matrix.iter_mut().enumerate().take(1100) {
            let right = class % 4;
            row[class] = right as u64;
            row[(class + 1) % 1200] += 4 - right as u64;
        }
        let found = cells(&Counts::from_matrix(matrix), &classes, 0.5);
        let widths: Vec<f64> = found.iter().map(|cell| cell.width).collect();
        assert_eq!(widths, [137.5, 137.5, 137.5, 137.5, 50.0]);
        assert_eq!(found[4].recall, None);
        assert_eq!(found[1].recall, Some(0.25));
    }
}
