//! Confusion matrices: how often each class was taken for each other, all seeds of a method together.

use maud::{Markup, html};

use super::format::{count, percent, plural};
use super::plots::swatch;
use crate::comparison::{Comparison, MethodResult};

/// More classes than this make cells too small to see.
const MAX_CLASSES: usize = 40;
/// Up to this many classes there is room for a number in each cell.
const MAX_NUMBERED: usize = 16;
/// How many of the most frequent confusions are put into words.
const NAMED_CONFUSIONS: usize = 3;

pub(super) fn matrices(comparison: &Comparison) -> Markup {
    let classes = &comparison.data.classes;
    if classes.len() > MAX_CLASSES {
        return html! {
            p.note {
                "Not drawn: matrices of " (plural(classes.len(), "class", "classes"))
                " have cells too small to see (the limit is " (MAX_CLASSES) "). The counts are in the JSON file beside this report."
            }
        };
    }
    html! {
        p.note {
            "A row is what an image shows, a column what it was taken for. Cells are percentages of their row, so that "
            "the diagonal is the share that was recognised; the counts, added up over seeds, show on hovering."
        }
        div.matrices {
            @for (i, method) in comparison.methods.iter().enumerate() {
                figure {
                    figcaption.name { (swatch(i)) " " (method.name) }
                    @match summed(method, classes.len()) {
                        Some(counts) => { (matrix(&method.name, classes, &counts)) (confusions(classes, &counts)) }
                        None => p.note { "No test image was classified." }
                    }
                }
            }
        }
    }
}

/// Counts by `[label][prediction]` over all runs; `None` where there are none.
pub(super) fn summed(method: &MethodResult, classes: usize) -> Option<Vec<Vec<u64>>> {
    let mut counts = vec![vec![0u64; classes]; classes];
    for run in &method.runs {
        for (sums, row) in counts.iter_mut().zip(&run.evaluation.confusion) {
            for (sum, cell) in sums.iter_mut().zip(row) {
                *sum = sum.saturating_add(*cell);
            }
        }
    }
    counts
        .iter()
        .flatten()
        .any(|cell| *cell > 0)
        .then_some(counts)
}

fn matrix(name: &str, classes: &[String], counts: &[Vec<u64>]) -> Markup {
    let numbered = classes.len() <= MAX_NUMBERED;
    html! {
        div.scroll {
            table.matrix.small[!numbered] {
                caption.hidden { "Confusion matrix of " (name) ": rows are labels, columns are predictions." }
                thead {
                    tr {
                        td.corner { span { "label \u{2193} prediction \u{2192}" } }
                        @for class in classes { th scope="col" title=(class) { span { (class) } } }
                    }
                }
                tbody {
                    @for (label, row) in counts.iter().enumerate() {
                        @let total: u64 = row.iter().fold(0, |sum, cell| sum.saturating_add(*cell));
                        tr {
                            th scope="row" title=(classes[label]) { span { (classes[label]) } }
                            @for (prediction, hits) in row.iter().enumerate() {
                                (cell(*hits, total, &classes[label], &classes[prediction], numbered))
                            }
                        }
                    }
                }
            }
        }
    }
}

fn cell(hits: u64, total: u64, label: &str, prediction: &str, numbered: bool) -> Markup {
    let share = if total == 0 {
        0.0
    } else {
        hits as f64 / total as f64
    };
    let title = format!(
        "{label} taken for {prediction}: {} of {} ({})",
        count(hits),
        count(total),
        percent(share)
    );
    // Past this share the other text colour has the better contrast, in both colour schemes.
    let strong = share >= 0.8;
    html! {
        td.strong-cell[strong] style=(format!("--v:{share:.2}")) title=(title) {
            @if numbered && hits > 0 { (format!("{:.0}", share * 100.0)) }
        }
    }
}

fn confusions(classes: &[String], counts: &[Vec<u64>]) -> Markup {
    let off_diagonal = counts.iter().enumerate().flat_map(|(label, row)| {
        row.iter()
            .enumerate()
            .filter(move |(p, cell)| *p != label && **cell > 0)
            .map(move |(p, cell)| (*cell, label, p))
    });
    let mut worst: Vec<_> = off_diagonal.collect();
    worst.sort_by_key(|(cell, label, prediction)| (std::cmp::Reverse(*cell), *label, *prediction));
    worst.truncate(NAMED_CONFUSIONS);
    html! {
        @if !worst.is_empty() {
            p.note {
                "Most often confused: "
                @for (i, (cell, label, prediction)) in worst.iter().enumerate() {
                    @if i > 0 { "; " }
                    (classes[*label]) " taken for " (classes[*prediction]) " (" (count(*cell)) ")"
                }
                "."
            }
        }
    }
}
