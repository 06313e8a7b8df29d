//! Test accuracy by domain: where each method is strong and weak.

use maud::{Markup, html};

use super::files;
use super::format::{self, NONE, percent_spread, plural};
use super::plots::{accuracy, accuracy_by_domain, domains, series, swatch};
use crate::comparison::{Comparison, MethodResult};

/// Domains beyond this are left to the table's file.
const MAX_DOMAINS: usize = 60;

pub(super) fn by_domain(comparison: &Comparison) -> Markup {
    let domains = domains(comparison);
    if domains.is_empty() {
        return html! { p.note { "The test images have no domains." } };
    }
    html! {
        (accuracy_by_domain(comparison))
        div.scroll {
            table.domains {
                caption { "Mean and sample standard deviation over seeds of the accuracy on each domain's test images." }
                thead {
                    tr {
                        th scope="col" { "Domain" }
                        @for (i, method) in comparison.methods.iter().enumerate() {
                            th.n scope="col" { (swatch(i)) " " (format::method(&method.name)) }
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
            p.note { "And " (plural(domains.len() - MAX_DOMAINS, "more domain", "more domains")) " in the table's file." }
        }
        (files::note(&[], &["domains.csv"]))
    }
}

fn cell(index: usize, method: &MethodResult, domain: &str) -> Markup {
    let (spread, runs) = accuracy(method, domain);
    if !spread.mean.is_finite() {
        return html! { td.n { (NONE) } };
    }
    html! {
        td.n {
            (format::figure(spread.mean, &percent_spread(spread, runs)))
            div.bar.(series(index)) aria-hidden="true" {
                i style=(format!("width:{:.1}%", spread.mean.clamp(0.0, 1.0) * 100.0)) {}
            }
        }
    }
}
