//! Which learning rate each method was given, and why.

use maud::{Markup, html};

use super::files;
use super::format::{NONE, percent};
use crate::comparison::Comparison;
use crate::experiment::Tuned;

pub(super) fn tuning(comparison: &Comparison) -> Markup {
    let mut rates: Vec<f32> = Vec::new();
    for score in comparison.tuned.iter().flat_map(|tuned| &tuned.scores) {
        if !rates.contains(&score.rate) {
            rates.push(score.rate);
        }
    }
    rates.sort_by(f32::total_cmp);
    html! {
        p.note {
            "Each method was run with each rate and the first seed, on four fifths of the clients' private images, dealt anew, and its balanced \
             accuracy measured on the other fifth. No test image was read. Of equals the lowest rate is taken."
        }
        div.scroll {
            table.tuning {
                caption { "Balanced accuracy on held-out private images by peak learning rate; what was chosen is bold." }
                thead {
                    tr {
                        th scope="col" { "Method" }
                        @for rate in &rates { th.n scope="col" { (rate) } }
                        th.n scope="col" { "Given" }
                    }
                }
                tbody { @for tuned in &comparison.tuned { (row(tuned, &rates)) } }
            }
        }
        (files::note(&[], &["tuning.csv"]))
    }
}

fn row(tuned: &Tuned, rates: &[f32]) -> Markup {
    let score = |rate: f32| {
        let found = tuned.scores.iter().find(|score| score.rate == rate);
        let accuracy = found.and_then(|score| score.accuracy);
        accuracy.map_or_else(|| NONE.to_owned(), percent)
    };
    html! {
        tr {
            th scope="row" { (tuned.method) }
            @for rate in rates { td.n.strong[*rate == tuned.chosen] { (score(*rate)) } }
            td.n { (tuned.chosen) }
        }
    }
}
