//! Precision and recall of each class, all seeds of a method together.

use maud::{Markup, html};

use super::counts::Counts;
use super::files;
use super::format::{self, NONE, count, percent, plural};
use super::plots::swatch;
use crate::comparison::Comparison;

/// Classes beyond this are left to the table's file.
const MAX_CLASSES: usize = 200;

pub(super) fn by_class(comparison: &Comparison) -> Markup {
    let classes = &comparison.data.classes;
    let measured = Counts::of_all(comparison);
    let Some((_, _, first)) = measured.first() else {
        return html! {};
    };
    html! {
        h3 { "By class" }
        div.scroll {
            table.classes {
                caption {
                    "Precision is the share of the images taken for a class that are of it, recall the share of its images that were recognised; \
                     over all seeds of a method. Support is the number of its test images."
                }
                thead {
                    tr {
                        th scope="col" rowspan="2" { "Class" }
                        th.n scope="col" rowspan="2" { "Support" }
                        @for (i, method, _) in &measured {
                            th.group scope="colgroup" colspan="2" { (swatch(*i)) " " (format::method(&method.name)) }
                        }
                    }
                    tr {
                        @for _ in &measured {
                            th.n scope="col" { "precision" }
                            th.n scope="col" { "recall" }
                        }
                    }
                }
                tbody {
                    @for (class, name) in classes.iter().enumerate().take(MAX_CLASSES) {
                        tr {
                            th scope="row" { (name) }
                            td.n { (count(first.support(class, comparison.data.test_images))) }
                            @for (_, _, counts) in &measured {
                                td.n { (share(counts.precision(class))) }
                                td.n { (share(counts.recall(class))) }
                            }
                        }
                    }
                }
            }
        }
        @if classes.len() > MAX_CLASSES {
            p.note { "And " (plural(classes.len() - MAX_CLASSES, "more class", "more classes")) " in the table's file." }
        }
        (files::note(&[], &["classes.csv"]))
    }
}

fn share(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), percent)
}
