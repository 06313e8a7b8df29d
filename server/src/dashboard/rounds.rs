//! The list of rounds.

use axum::extract::{Query, State};
use axum::response::Html;
use maud::html;
use serde::Deserialize;

use super::fault::Answer;
use super::layout::{Place, page};
use super::paging::Paging;
use super::round_parts::progress;
use super::units::time;
use super::visitor::Visitor;
use crate::http::live;
use crate::state::AppState;

/// Rounds on a page.
const EACH: u64 = 50;

/// The page that is asked for.
#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    page: String,
}

/// All rounds, the newest first, with where each stands.
pub(super) async fn list(
    visitor: Visitor,
    Query(asked): Query<Asked>,
    State(state): State<AppState>,
) -> Answer<Html<String>> {
    let rounds = state.store(|store| store.statuses()).await?;
    let paging = Paging::of(&asked.page, EACH);
    let total = rounds.len() as u64;
    let address = |page: u64| format!("/dashboard?page={page}");
    let shown = (0..).zip(rounds).filter(|(entry, _)| paging.holds(*entry));
    let mut shown: Vec<_> = shown.map(|(_, status)| status).collect();
    shown.iter_mut().for_each(|status| live(&state, status));
    let here = address(asked.page.parse().unwrap_or(1));
    let main = html! {
        h1 { "Rounds" }
        div id="rounds" hx-get=(here) hx-trigger="every 5s" hx-select="#rounds" hx-swap="outerHTML" {
            @if shown.is_empty() {
                p { "There is no round yet. The administrator opens one with " code { "promptfed round open" } "." }
            } @else {
                div.wide role="region" aria-label="Rounds" tabindex="0" {
                    table {
                        thead {
                            tr {
                                th scope="col" { "Round" }
                                th scope="col" { "State" }
                                th scope="col" { "Progress" }
                                th scope="col" { "Submitted" }
                                th scope="col" { "Opened" }
                            }
                        }
                        tbody {
                            @for status in &shown {
                                tr {
                                    th scope="row" {
                                        a id=(format!("to-{}", status.round_id)) href=(format!("/dashboard/rounds/{}", status.round_id)) {
                                            (status.round_id) " " (status.name)
                                        }
                                    }
                                    td { span.state { (status.state.name()) } }
                                    td { (progress(&status.state)) }
                                    td {
                                        (status.submissions)
                                        @if let Some(expected) = status.expected_clients { " of " (expected) }
                                    }
                                    td { (time(status.opened_at)) }
                                }
                            }
                        }
                    }
                }
                (paging.links(total, address))
            }
        }
    };
    Ok(page(&visitor, Place::Rounds, "Rounds", &main))
}
