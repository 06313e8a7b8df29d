//! Precision and recall of each class, all seeds of a method together.

use maud::{Markup, html};

use super::confusion::summed;
use super::format::{NONE, count, percent, plural};
use super::plots::swatch;
use crate::comparison::{Comparison, MethodResult};

/// Classes beyond this are left to the JSON file.
const MAX_CLASSES: usize = 200;

pub(super) fn by_class(comparison: &Comparison) -> Markup {
    let classes = &comparison.data.classes;
    let measured: Vec<(usize, &MethodResult, Vec<Vec<u64>>)> = comparison
        .methods
        .iter()
        .enumerate()
        .filter_map(|(i, method)| Some((i, method, summed(method, classes.len())?)))
        .collect();
    let Some((_, _, counts)) = measured.first() else {
        return html! {};
    };
    // A method with a model for each client has as many answers for each image.
    let answers: u64 = counts.iter().flatten().sum();
    let of_test = |count: u64| {
        let images = comparison.data.test_images as f64;
        (count as f64 * images / answers.max(1) as f64).round() as u64
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
                            th.group scope="colgroup" colspan="2" { (swatch(*i)) " " (method.name) }
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
                        @let support: u64 = counts[class].iter().fold(0, |sum, n| sum.saturating_add(*n));
                        tr {
                            th scope="row" { (name) }
                            td.n { (count(of_test(support))) }
                            @for (_, _, counts) in &measured {
                                @let (precision, recall) = of_class(counts, class);
                                td.n { (share(precision)) }
                                td.n { (share(recall)) }
                            }
                        }
                    }
                }
            }
        }
        @if classes.len() > MAX_CLASSES {
            p.note { "And " (plural(classes.len() - MAX_CLASSES, "more class", "more classes")) " in the JSON file beside this report." }
        }
    }
}

fn share(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), percent)
}

/// Precision and recall from counts by `[label][prediction]`; none of a class that was never named, or has no image.
fn of_class(counts: &[Vec<u64>], class: usize) -> (Option<f64>, Option<f64>) {
    let right = counts[class][class] as f64;
    let named: f64 = counts.iter().map(|row| row[class] as f64).sum();
    let all: f64 = counts[class].iter().map(|n| *n as f64).sum();
    let share = |of: f64| (of > 0.0).then(|| right / of);
    (share(named), share(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_named_has_no_precision() {
        let counts = vec![vec![3, 1, 0], vec![2, 2, 0], vec![0, 0, 0]];
        assert_eq!(of_class(&counts, 0), (Some(0.6), Some(0.75)));
        assert_eq!(of_class(&counts, 2), (None, None));
        let counts = vec![vec![4, 0], vec![4, 0]];
        assert_eq!(of_class(&counts, 1), (None, Some(0.0)));
    }
}
