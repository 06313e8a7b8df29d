//! How long methods take on the simulated clock.

use maud::{Markup, html};

use super::format::{self, NONE, percent, plural};
use super::plots::{accuracy_by_seconds, swatch};
use crate::comparison::Comparison;
use crate::summary::MethodSummary;

/// Whether a run of the comparison has a simulated second.
pub(super) fn is_simulated(comparison: &Comparison) -> bool {
    let mut runs = comparison.methods.iter().flat_map(|method| &method.runs);
    runs.any(|run| !run.accuracy_by_seconds.is_empty())
}

pub(super) fn simulated(comparison: &Comparison, summary: &[MethodSummary]) -> Markup {
    html! {
        p.note {
            "No clock was read: the time of a round is that of its slowest client, to receive what was sent to it, to train and to send, and the \
             server's after that. Bytes are those that were counted; how fast links and computers are is said under Provenance. What a method \
             does besides training and sending takes no time, and neither does the server's work where --server-speed does not say how long."
        }
        (accuracy_by_seconds(comparison))
        @if comparison.target_accuracy.is_some() || summary.iter().any(|row| row.simulated_seconds.is_some()) {
            div.scroll { (table(comparison, summary)) }
        }
    }
}

fn table(comparison: &Comparison, summary: &[MethodSummary]) -> Markup {
    let time = |seconds: Option<f64>| match seconds {
        Some(seconds) => format::figure(seconds, &format::seconds(seconds)),
        None => html! { (NONE) },
    };
    html! {
        table.simulated {
            caption { "Simulated time, mean over seeds; time to an accuracy over the seeds that reached it." }
            thead {
                tr {
                    th scope="col" { "Method" }
                    th.n scope="col" { "Whole run" }
                    @if let Some(target) = comparison.target_accuracy {
                        th.n scope="col" { "To " (percent(target)) }
                        th.n scope="col" { "Reached by" }
                    }
                }
            }
            tbody {
                @for (i, row) in summary.iter().enumerate() {
                    tr {
                        th scope="row" { (swatch(i)) " " (format::method(&row.name)) }
                        td.n { (time(row.simulated_seconds)) }
                        @if comparison.target_accuracy.is_some() {
                            td.n { (time(row.seconds_to_target)) }
                            td.n { (row.runs_at_target.unwrap_or(0)) " of " (plural(row.runs, "seed", "seeds")) }
                        }
                    }
                }
            }
        }
    }
}
