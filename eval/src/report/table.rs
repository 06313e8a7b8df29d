//! The results by method: accuracy, macro F1, bytes and time, and the bytes by kind.

use maud::{Markup, html};
use promptfed_prompts::ledger::{Direction, PayloadKind};

use super::format::{self, count, percent_spread, plural};
use super::plots::swatch;
use crate::comparison::{Comparison, Failure, Spread};
use crate::statistics::Interval;
use crate::summary::MethodSummary;

pub(super) fn results(comparison: &Comparison, summary: &[MethodSummary]) -> Markup {
    let shared = summary.iter().map(|row| row.jobs).max();
    let shared = shared.filter(|jobs| *jobs > 1);
    html! {
        div.scroll {
            table.results {
                caption {
                    "Mean and sample standard deviation over seeds, on the test set, with the 95 % interval of the mean by Student's t; \
                     a method with one seed has none. ECE is the expected calibration error over 15 bins, NLL the mean negative \
                     log-likelihood of the labels in nats; a method that names classes without saying how sure it is has neither. Bytes are those of a whole run, "
                    "counted where they crossed: up is client to server, down is server to client. fgl and fused go over \
                     HTTP, and their bytes are all that the clients' sockets carried; the others' are the encoded \
                     messages alone."
                    @if let Some(jobs) = shared {
                        " Beside others: while it was measured, up to " (count(jobs as u64)) " runs shared the machine, each with its share of the threads; alone it \
                         takes less time."
                    }
                }
                thead {
                    tr {
                        th scope="col" rowspan="2" { "Method" }
                        th.n scope="col" rowspan="2" { "Accuracy" }
                        th.n scope="col" rowspan="2" { "Balanced accuracy" }
                        th.n scope="col" rowspan="2" { "Macro F1" }
                        th.group scope="colgroup" colspan="2" { "Calibration" }
                        th.group scope="colgroup" colspan="2" { "Per client, mean" }
                        th.group scope="colgroup" colspan="2" { "All clients" }
                        th.n scope="col" rowspan="2" { "Wall time" }
                    }
                    tr {
                        th.n scope="col" { "ECE" }
                        th.n scope="col" { "NLL" }
                        @for _ in 0..2 {
                            th.n scope="col" { "up" }
                            th.n scope="col" { "down" }
                        }
                    }
                }
                tbody {
                    @for (i, row) in summary.iter().enumerate() {
                        tr {
                            th scope="row" { (swatch(i)) " " (format::method(&row.name)) }
                            td.n.strong { (share(row.accuracy_mean, row.accuracy_std, row.runs, row.accuracy_interval)) }
                            td.n { (share(row.balanced_accuracy, row.balanced_accuracy_std, row.runs, row.balanced_accuracy_interval)) }
                            td.n { (share(row.macro_f1, row.macro_f1_std, row.runs, row.macro_f1_interval)) }
                            td.n { (measure(row.expected_calibration_error, format::percent)) }
                            td.n { (measure(row.negative_log_likelihood, |nats| format!("{nats:.2}"))) }
                            td.n { (bytes(row.bytes_up_per_client, row.runs)) }
                            td.n { (bytes(row.bytes_down_per_client, row.runs)) }
                            td.n { (bytes(row.bytes_up, row.runs)) }
                            td.n { (bytes(row.bytes_down, row.runs)) }
                            td.n {
                                (format::figure(row.seconds, &format::seconds(row.seconds)))
                                @if row.jobs > 1 { div.note { "beside others" } }
                            }
                        }
                        tr.notes {
                            td colspan="11" {
                                @if let Some(method) = comparison.methods.get(i) { p.note { (method.description) } }
                                @if row.collapsed { p.note { "Collapsed: it takes nearly every image for one class." } }
                                @if row.runs == 1 { p.note { "One seed: no interval." } }
                                @if let Some(images) = row.synthetic {
                                    p.note {
                                        (plural(images.made as usize, "synthetic image", "synthetic images")) " made, "
                                        (count(images.trained_on)) " trained on."
                                    }
                                }
                            }
                        }
                    }
                    @if summary.is_empty() { tr { td colspan="11" { "No method was run." } } }
                }
            }
        }
        (failures(&comparison.failures))
    }
}

/// The runs that failed, and why.
fn failures(failures: &[Failure]) -> Markup {
    if failures.is_empty() {
        return html! {};
    }
    html! {
        div.scroll {
            table.failures {
                caption { "Runs that failed. The figures above are those of the other seeds." }
                thead {
                    tr {
                        th scope="col" { "Method" }
                        th.n scope="col" { "Seed" }
                        th scope="col" { "Reason" }
                    }
                }
                tbody {
                    @for failure in failures {
                        tr {
                            th scope="row" { (failure.method) }
                            td.n { (failure.seed) }
                            td { (failure.reason) }
                        }
                    }
                }
            }
        }
    }
}

/// The bytes of all clients by direction and kind; kinds that no method sent have no column.
pub(super) fn bytes_by_kind(summary: &[MethodSummary]) -> Markup {
    let sent = |kind: PayloadKind| {
        summary
            .iter()
            .any(|row| row.bytes_by_kind.iter().any(|k| k.kind == kind))
    };
    let kinds: Vec<_> = PayloadKind::ALL
        .into_iter()
        .filter(|kind| sent(*kind))
        .collect();
    let total = |row: &MethodSummary, direction| match direction {
        Direction::Up => row.bytes_up,
        Direction::Down => row.bytes_down,
    };
    html! {
        h3 { "Bytes by kind" }
        @if kinds.is_empty() {
            p.note { "No bytes crossed in any run." }
        } @else {
            div.scroll {
                table.kinds {
                    caption {
                        "All clients together, mean over seeds. Framing is what HTTP adds around the bodies: "
                        "request lines and headers."
                    }
                    thead {
                        tr {
                            th scope="col" { "Method" }
                            th scope="col" { "Way" }
                            @for kind in &kinds { th.n scope="col" { (kind.to_string()) } }
                            th.n scope="col" { "Total" }
                        }
                    }
                    @for (i, row) in summary.iter().enumerate().filter(|(_, row)| row.bytes() > 0) {
                        tbody {
                            @for (n, direction) in [Direction::Up, Direction::Down].into_iter().enumerate() {
                                tr {
                                    @if n == 0 {
                                        th scope="rowgroup" rowspan="2" { (swatch(i)) " " (format::method(&row.name)) }
                                    }
                                    th scope="row" { (direction.to_string()) }
                                    @for kind in &kinds {
                                        @let sent = row.bytes_of(direction, *kind);
                                        td.n.zero[sent == 0] { (bytes(sent, row.runs)) }
                                    }
                                    td.n.strong { (bytes(total(row, direction), row.runs)) }
                                }
                            }
                        }
                    }
                }
            }
            @let silent: Vec<_> = summary.iter().filter(|r| r.bytes() == 0).map(|r| r.name.as_str()).collect();
            @if !silent.is_empty() { p.note { "No bytes crossed for " (silent.join(", ")) "." } }
        }
    }
}

fn share(mean: f64, std: f64, runs: usize, interval: Option<Interval>) -> Markup {
    html! {
        (format::figure(mean, &percent_spread(Spread { mean, std }, runs)))
        @if let Some(interval) = interval { div.note { (format::percent_interval(interval)) } }
    }
}

/// A measure that not every method has.
fn measure(value: Option<f64>, shown: fn(f64) -> String) -> Markup {
    html! {
        @match value {
            Some(value) => (format::figure(value, &shown(value))),
            None => { (format::NONE) }
        }
    }
}

fn bytes(bytes: u64, runs: usize) -> Markup {
    html! {
        @if runs == 0 { (format::NONE) }
        @else { (format::byte_figure(bytes)) }
    }
}
