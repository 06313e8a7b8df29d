//! What was written for the rounds, and what was refused of it.

use maud::{Markup, html};

use super::Fusion;
use crate::report::format::count;

pub(super) fn refused(fusion: &Fusion) -> Markup {
    if fusion.written.is_empty() {
        return html! { p.note { "No prompt was written between rounds: backends were asked for the prompts that they were given." } };
    }
    html! {
        p.note { "Every written text is checked before a backend reads it. What was refused is counted by reason, with some examples." }
        @for written in &fusion.written {
            div.scroll {
                table.kinds {
                    caption {
                        "Round " (written.round) ": " (count(written.written)) " of " (count(written.wanted)) " prompts written, "
                        (count(written.refused.total())) " refused"
                    }
                    thead { tr {
                        th scope="col" { "Refused, since it" }
                        th.n scope="col" { "texts" }
                        th scope="col" { "such as" }
                    } }
                    tbody {
                        @for (reason, texts, examples) in written.refused.by_count() {
                            tr {
                                th scope="row" { (reason) }
                                td.n { (count(texts)) }
                                td {
                                    @for example in examples {
                                        (example.text)
                                        @if !example.detail.is_empty() { " (" (example.detail) ")" }
                                        br;
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
