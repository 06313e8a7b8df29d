//! What each backend gave, what it is good at, and what it was allowed.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::Fusion;
use crate::report::format::{NONE, count, figure, percent};

/// Domains and classes of which quotas are shown one by one.
const MOST_CELLS: usize = 200;

pub(super) fn parts(fusion: &Fusion) -> Markup {
    html! {
        div.scroll {
            table.kinds {
                caption { "Images made and chosen by backend, and the sum of their weights in training." }
                thead { tr {
                    th scope="col" { "Backend" }
                    th.n scope="col" { "made" }
                    th.n scope="col" { "chosen" }
                    th.n scope="col" { "share chosen" }
                    th.n scope="col" { "weight" }
                } }
                tbody {
                    @for part in &fusion.report.backends {
                        tr {
                            th scope="row" { (part.name) }
                            td.n { (count(part.made)) }
                            td.n { (count(part.chosen)) }
                            td.n { (percent(part.chosen as f64 / part.made as f64)) }
                            td.n { (figure(part.weight, &format!("{:.1}", part.weight))) }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn transfer(fusion: &Fusion) -> Markup {
    let report = &fusion.report;
    let Some(transfer) = &report.transfer else {
        return html! { p.note { "No task model was asked: this choice did not need one." } };
    };
    let domains = report.domain_names.len().max(1);
    let name = |domain: usize| {
        report
            .domain_names
            .get(domain)
            .map_or("all", String::as_str)
    };
    html! {
        p.note {
            "Each backend's task model was trained on that backend's images alone. A row is a model, a column the backend whose images "
            "it names; on its own images it has been trained."
        }
        @for domain in 0..domains {
            div.scroll {
                table.domains {
                    caption { "Share of images named rightly, domain " (name(domain)) }
                    thead { tr {
                        th scope="col" { "trained on" }
                        @for maker in &transfer.backends { th.n scope="col" { (maker) } }
                    } }
                    tbody {
                        @for (model, trained) in transfer.backends.iter().enumerate() {
                            tr {
                                th scope="row" { (trained) }
                                @for maker in 0..transfer.backends.len() {
                                    @let share = transfer.accuracy(model, maker, domain);
                                    td.n.zero[model == maker] {
                                        @match share {
                                            Some(share) => (figure(share, &percent(share))),
                                            None => (NONE),
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Images asked for in each round, by backend and domain.
pub(super) fn rounds(fusion: &Fusion) -> Markup {
    let mut rows: BTreeMap<(&str, &str), Vec<u64>> = BTreeMap::new();
    for (round, quotas) in fusion.rounds.iter().enumerate() {
        for quota in quotas {
            let domain = quota.domain.as_deref().unwrap_or("all");
            let row = rows.entry((&quota.backend, domain));
            row.or_insert_with(|| vec![0; fusion.rounds.len()])[round] += quota.images;
        }
    }
    html! {
        @if !rows.is_empty() {
            div.scroll {
                table.kinds {
                    caption { "Images asked for in each round, all classes together" }
                    thead { tr {
                        th scope="col" { "Backend, domain" }
                        @for round in 0..fusion.rounds.len() { th.n scope="col" { "round " (round) } }
                    } }
                    tbody {
                        @for ((backend, domain), images) in &rows {
                            tr {
                                th scope="row" { (backend) ", " (domain) }
                                @for images in images { td.n { (count(*images)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn quotas(fusion: &Fusion) -> Markup {
    let report = &fusion.report;
    if report.quotas.is_empty() {
        return html! { p.note { "There were no quotas: each class and domain was chosen from all backends together." } };
    }
    html! {
        div.scroll {
            table.kinds {
                thead { tr {
                    th scope="col" { "Domain, class, backend" }
                    th.n scope="col" { "score" }
                    th.n scope="col" { "share" }
                    th.n scope="col" { "made" }
                    th.n scope="col" { "kept" }
                } }
                tbody {
                    @for quota in report.quotas.iter().take(MOST_CELLS) {
                        tr {
                            th scope="row" {
                                @if let Some(domain) = report.domain_names.get(quota.domain as usize) { (domain) ", " }
                                @if let Some(class) = report.class_names.get(quota.class as usize) { (class) ", " }
                                @if let Some(backend) = report.backends.get(quota.backend as usize) { (backend.name) }
                            }
                            td.n { (figure(quota.score, &format!("{:.3}", quota.score))) }
                            td.n { (figure(quota.share, &percent(quota.share))) }
                            td.n { (count(quota.made)) }
                            td.n { (count(quota.kept)) }
                        }
                    }
                }
            }
        }
        @if report.quotas.len() > MOST_CELLS {
            p.note { "And " (report.quotas.len() - MOST_CELLS) " more, in report.json." }
        }
    }
}
