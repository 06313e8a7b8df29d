//! Confusion matrices: how often each class was taken for each other, all seeds of a method together. Where classes are many, the worst.

use maud::{Markup, html};

use super::counts::{Confusion, Counts};
use super::format::{count, percent, plural};
use super::plots::swatch;
use super::{files, shown};
use crate::comparison::Comparison;

/// More classes than this make cells too small to see.
pub(super) const MAX_CLASSES: usize = 40;
/// Up to this many classes there is room for a number in each cell.
pub(super) const MAX_NUMBERED: usize = 16;
/// How many of the most frequent confusions are put into words.
const NAMED_CONFUSIONS: usize = 3;
/// How many confusions and classes are listed where there is no matrix.
const LISTED: usize = 10;

pub(super) fn matrices(comparison: &Comparison) -> Markup {
    let classes = &comparison.data.classes;
    let drawn = classes.len() <= MAX_CLASSES;
    let shown = shown::all_seeds(comparison);
    let all = Counts::of_all(comparison);
    let of = |index: usize| {
        let mut there = all.iter();
        there
            .find(|(at, ..)| *at == index)
            .map(|(_, _, counts)| counts)
    };
    html! {
        @if drawn {
            p.note {
                "A row is what an image shows, a column what it was taken for. Cells are percentages of their row, so that "
                "the diagonal is the share that was recognised; the counts, added up over seeds, show on hovering. Shown: " (shown) "."
            }
        } @else {
            p.note {
                "Matrices of " (plural(classes.len(), "class", "classes")) " have cells too small to see (the limit is " (MAX_CLASSES)
                "): these are the classes that each method confuses most often and recognises least, with counts added up over seeds. "
                "Shown: " (shown) "."
            }
        }
        div.matrices {
            @for (i, method) in comparison.methods.iter().enumerate() {
                figure {
                    figcaption.name { (swatch(i)) " " (method.name) }
                    @match of(i) {
                        Some(counts) if drawn => { (matrix(&method.name, classes, counts.matrix())) (confusions(classes, counts)) }
                        Some(counts) => (worst(&method.name, classes, counts)),
                        None => p.note { "No test image was classified." },
                    }
                }
            }
        }
        @if drawn && !all.is_empty() { (files::note(&["confusion-\u{2026}.svg"], &["confusion.csv"])) }
        @else { (files::note(&[], &["confusion.csv"])) }
    }
}

/// The share of a row's images that a cell has, in [0, 1]; 0 of a row without images.
pub(super) fn share_of_row(hits: u64, row: &[u64]) -> f64 {
    let total: f64 = row.iter().map(|cell| *cell as f64).sum();
    if total > 0.0 {
        hits as f64 / total
    } else {
        0.0
    }
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
                        tr {
                            th scope="row" title=(classes[label]) { span { (classes[label]) } }
                            @for (prediction, hits) in row.iter().enumerate() {
                                (cell(*hits, row, &classes[label], &classes[prediction], numbered))
                            }
                        }
                    }
                }
            }
        }
    }
}

fn cell(hits: u64, row: &[u64], label: &str, prediction: &str, numbered: bool) -> Markup {
    let share = share_of_row(hits, row);
    let total = row.iter().fold(0u64, |sum, cell| sum.saturating_add(*cell));
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

fn confusions(classes: &[String], counts: &Counts) -> Markup {
    let worst = counts.most_confused(NAMED_CONFUSIONS);
    html! {
        @if !worst.is_empty() {
            p.note {
                "Most often confused: "
                @for (i, Confusion { label, predicted, count: images }) in worst.iter().enumerate() {
                    @if i > 0 { "; " }
                    (classes[*label]) " taken for " (classes[*predicted]) " (" (count(*images)) ")"
                }
                "."
            }
        }
    }
}

fn worst(method: &str, classes: &[String], counts: &Counts) -> Markup {
    let confused = counts.most_confused(LISTED);
    let confused_rows = html! {
        @for Confusion { label, predicted, count: images } in &confused {
            tr {
                th scope="row" { (classes[*label]) }
                td { (classes[*predicted]) }
                td.n { (count(*images)) }
                td.n { (percent(share_of_row(*images, &counts.matrix()[*label]))) }
            }
        }
        @if confused.is_empty() { tr { td colspan="4" { "Nothing was confused." } } }
    };
    let least_rows = html! {
        @for (class, recall) in counts.least_recognised(LISTED) {
            tr {
                th scope="row" { (classes[class]) }
                td.n { (percent(recall)) }
                td.n { (counts.precision(class).map_or_else(|| super::format::NONE.to_owned(), percent)) }
            }
        }
    };
    let words = html! { th scope="col" { "Class" } th scope="col" { "taken for" } };
    html! {
        (list(&format!("What {method} confuses most often."), &words, &["images", "of its own"], &confused_rows))
        (list(&format!("What {method} recognises least."), &html! { th scope="col" { "Class" } }, &["recall", "precision"], &least_rows))
    }
}

/// A list of classes: heads of words, then of numbers.
fn list(caption: &str, words: &Markup, numbers: &[&str], rows: &Markup) -> Markup {
    html! {
        div.scroll {
            table.worst {
                caption { (caption) }
                thead { tr { (words) @for name in numbers { th.n scope="col" { (name) } } } }
                tbody { (rows) }
            }
        }
    }
}
