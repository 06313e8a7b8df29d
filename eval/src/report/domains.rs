//! Test accuracy by domain: where each method is strong and weak.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::format::{self, NONE, percent_spread, plural};
use super::plots::{series, swatch};
use crate::comparison::{Comparison, MethodResult, Spread};

/// Domains beyond this are left to the JSON file.
const MAX_DOMAINS: usize = 60;

pub(super) fn by_domain(comparison: &Comparison) -> Markup {
    let runs = comparison.methods.iter().flat_map(|method| &method.runs);
    let domains: BTreeSet<&str> = runs
        .flat_map(|run| run.evaluation.per_domain.keys().map(String::as_str))
        .collect();
    if domains.is_empty() {
        return html! { p.note { "The test images have no domains." } };
    }
    html! {
        div.scroll {
            table.domains {
                caption { "Mean and sample standard deviation over seeds of the accuracy on each domain's test images." }
                thead {
                    tr {
                        th scope="col" { "Domain" }
                        @for (i, method) in comparison.methods.iter().enumerate() {
                            th.n scope="col" { (swatch(i)) " " (method.name) }
                        }
                    }
                }
                tbody {
                    @for domain in domains.iter().take(MAX_DOMAINS) {
                        tr {
                            th scope="row" { (domain) }
                            @for (i, method) in comparison.methods.iter().enumerate() { (cell(i, method, domain)) }
                        }
                    }
                }
            }
        }
        @if domains.len() > MAX_DOMAINS {
            p.note { "And " (plural(domains.len() - MAX_DOMAINS, "more domain", "more domains")) " in the JSON file beside this report." }
        }
    }
}

fn cell(index: usize, method: &MethodResult, domain: &str) -> Markup {
    let values: Vec<f64> = method
        .runs
        .iter()
        .filter_map(|run| run.evaluation.per_domain.get(domain).copied())
        .collect();
    let spread = Spread::of(values.iter().copied());
    if !spread.mean.is_finite() {
        return html! { td.n { (NONE) } };
    }
    html! {
        td.n {
            (format::figure(spread.mean, &percent_spread(spread, values.len())))
            div.bar.(series(index)) aria-hidden="true" {
                i style=(format!("width:{:.1}%", spread.mean.clamp(0.0, 1.0) * 100.0)) {}
            }
        }
    }
}
