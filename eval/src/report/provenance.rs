//! What the numbers depend on: settings, versions, seeds, hashes of data and models.

use maud::{Markup, html};

use super::format::{self, NONE, percent, plural};
use super::plots::swatch;
use crate::comparison::{Comparison, MethodRun};
use crate::report::role::Role;

/// Clients whose data hash is listed; the JSON file has all of them.
const MAX_CLIENTS: usize = 50;

pub(super) fn provenance(comparison: &Comparison) -> Markup {
    let version = ("promptfed".to_owned(), comparison.version.clone());
    let clients = &comparison.data.clients;
    let hash =
        |client: &crate::comparison::ClientSummary| (client.name.clone(), client.hash.to_string());
    let test = (
        "test images".to_owned(),
        comparison.data.test_hash.to_string(),
    );
    html! {
        @if !comparison.warnings.is_empty() {
            h3 { "Warnings" }
            ul { @for warning in &comparison.warnings { li { (warning) } } }
        }
        h3 { "Settings" }
        (pairs(&comparison.settings))
        h3 { "Versions, seeds and hashes" }
        (pairs(std::iter::once(&version).chain(&comparison.provenance)))
        h3 { "Data" }
        p.note { "BLAKE3 over the decoded images and their labels." }
        (pairs(&std::iter::once(test).chain(clients.iter().take(MAX_CLIENTS).map(hash)).collect::<Vec<_>>()))
        @if clients.len() > MAX_CLIENTS {
            p.note { "And " (plural(clients.len() - MAX_CLIENTS, "more client", "more clients")) " in the JSON file beside this report." }
        }
        h3 { "Runs" }
        (runs(comparison))
    }
}

fn pairs<'a>(pairs: impl IntoIterator<Item = &'a (String, String)>) -> Markup {
    html! {
        dl.pairs { @for (name, value) in pairs { div { dt { (name) } dd { (value) } } } }
    }
}

fn runs(comparison: &Comparison) -> Markup {
    html! {
        div.scroll {
            table.runs {
                caption { "Every run. The hash of a model is that of its file." }
                thead {
                    tr {
                        @for name in ["Method", "Seed"] { th scope="col" { (name) } }
                        @for name in ["Accuracy", "Macro F1", "Bytes both ways", "Wall time"] { th.n scope="col" { (name) } }
                        @for name in ["Kept", "Model"] { th scope="col" { (name) } }
                    }
                }
                tbody {
                    @for (i, method) in comparison.methods.iter().enumerate() {
                        @for run in &method.runs { (row(i, &method.name, run)) }
                    }
                }
            }
        }
    }
}

fn row(index: usize, name: &str, run: &MethodRun) -> Markup {
    let unit = if Role::of(name) == Role::Federated {
        "round"
    } else {
        "epoch"
    };
    html! {
        tr {
            th scope="row" { (swatch(index)) " " (name) }
            td { (run.seed) }
            td.n { (format::figure(run.evaluation.accuracy, &percent(run.evaluation.accuracy))) }
            td.n { (format::figure(run.evaluation.macro_f1, &percent(run.evaluation.macro_f1))) }
            td.n { (format::byte_figure(run.bytes())) }
            td.n { (format::seconds(run.seconds)) }
            td {
                @match run.selected {
                    Some(kept) => {
                        (unit) " " (kept + 1) " of " (run.curve.len())
                        @if let Some(why) = &run.selection { " (" (why) ")" }
                    }
                    None => { (NONE) }
                }
            }
            td {
                @match &run.model_hash {
                    Some(hash) => code.hash { (hash.to_string()) },
                    None => { (NONE) }
                }
            }
        }
    }
}
