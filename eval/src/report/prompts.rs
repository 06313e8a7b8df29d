//! What crossed the wire: every client's document as it left, and its prompts as the generator reads them.

use maud::{Markup, html};

use super::format::{self, plural};
use super::shown::first_seed;
use crate::comparison::{Comparison, SubmittedPrompts};

/// Clients, prompts per client and characters per document that are shown; the JSON file has all of them.
const MAX_CLIENTS: usize = 40;
const MAX_PROMPTS: usize = 200;
const MAX_DOCUMENT: usize = 12_000;

pub(super) fn submissions(comparison: &Comparison) -> Markup {
    let submissions = &comparison.prompts;
    if submissions.is_empty() {
        return html! { p.note { "No client submitted prompts." } };
    }
    let prompts: usize = submissions.iter().map(|s| s.rendered.len()).sum();
    let bytes = submissions
        .iter()
        .fold(0u64, |sum, s| sum.saturating_add(s.wire_bytes));
    html! {
        p.note {
            "These texts are everything that " (plural(submissions.len(), "client", "clients")) " told the server about "
            "their private images: " (plural(prompts, "prompt", "prompts")) " in " (format::bytes(bytes))
            ", compressed. Shown: " (first_seed(comparison)) "."
        }
        @for submission in submissions.iter().take(MAX_CLIENTS) { (client(submission)) }
        @if submissions.len() > MAX_CLIENTS {
            p.note { "And " (plural(submissions.len() - MAX_CLIENTS, "more client", "more clients")) " in the JSON file beside this report." }
        }
    }
}

fn client(submission: &SubmittedPrompts) -> Markup {
    let hash = submission.hash.to_string();
    html! {
        details.client {
            summary {
                b { (submission.client) }
                span.tags {
                    span { (plural(submission.rendered.len(), "prompt", "prompts")) }
                    span { (format::bytes(submission.wire_bytes)) }
                    code title=(hash) { (hash.chars().take(12).collect::<String>()) "\u{2026}" }
                }
            }
            (rendered(&submission.rendered))
            h4 { "The document, exactly as it left the client" }
            p.note { "Its hash (BLAKE3): " code.hash { (hash) } }
            (document(&submission.document))
        }
    }
}

fn rendered(prompts: &[(String, String)]) -> Markup {
    let negative = prompts.first().map(|(_, negative)| negative);
    let shared = negative.filter(|first| prompts.iter().all(|(_, negative)| negative == *first));
    html! {
        h4 { "As the generator reads it" }
        @if let Some(negative) = shared {
            p.note {
                @if negative.is_empty() { "None has a negative prompt." }
                @else { "Negative prompt of all: " q dir="auto" { (negative) } }
            }
        }
        ol.prompts {
            @for (positive, negative) in prompts.iter().take(MAX_PROMPTS) {
                li dir="auto" {
                    (positive)
                    @if shared.is_none() && !negative.is_empty() { span.note { " not: " (negative) } }
                }
            }
        }
        @if prompts.len() > MAX_PROMPTS {
            p.note { "And " (plural(prompts.len() - MAX_PROMPTS, "more prompt", "more prompts")) " in the JSON file beside this report." }
        }
    }
}

fn document(text: &str) -> Markup {
    let end = text
        .char_indices()
        .nth(MAX_DOCUMENT)
        .map_or(text.len(), |(at, _)| at);
    html! {
        pre tabindex="0" dir="auto" { (text[..end]) }
        @if end < text.len() {
            p.note { (format::bytes((text.len() - end) as u64)) " of the document are left out here; the JSON file beside this report has all of it." }
        }
    }
}
