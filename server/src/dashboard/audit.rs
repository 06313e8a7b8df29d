//! The audit log: what happened in all rounds.

use axum::extract::{Query, State};
use axum::response::Html;
use maud::html;
use serde::Deserialize;

use super::fault::Answer;
use super::layout::{Place, page};
use super::units::time;
use super::visitor::Operator;
use crate::state::AppState;

/// Events on a page.
const EACH: u32 = 100;

/// The event before which those are that are asked for; the latest without it.
#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    before: String,
}

/// Events of all rounds, the latest first.
pub(super) async fn list(
    Operator(visitor): Operator,
    Query(asked): Query<Asked>,
    State(state): State<AppState>,
) -> Answer<Html<String>> {
    let before = asked.before.parse().ok();
    let events = state.store(move |store| store.latest_events(None, before, EACH));
    let events = events.await?;
    let earlier = events.last().filter(|_| events.len() == EACH as usize);
    let main = html! {
        h1 { "Audit log" }
        @if events.is_empty() { p { "Nothing has happened yet." } }
        @else {
            div.wide role="region" aria-label="Events" tabindex="0" {
                table {
                    thead {
                        tr {
                            th scope="col" { "Number" } th scope="col" { "Time" }
                            th scope="col" { "Round" } th scope="col" { "Event" }
                        }
                    }
                    tbody {
                        @for event in &events {
                            tr {
                                td { (event.number) }
                                td { (time(event.event.at)) }
                                td { a href=(format!("/dashboard/rounds/{}", event.round)) { "Round " (event.round) } }
                                td { (event.event.text) }
                            }
                        }
                    }
                }
            }
        }
        nav.pages aria-label="Pages" {
            @if before.is_some() { a href="/dashboard/audit" { "Latest" } }
            @if let Some(last) = earlier { a rel="next" href=(format!("/dashboard/audit?before={}", last.number)) { "Earlier" } }
        }
    };
    Ok(page(&visitor, Place::Audit, "Audit log", &main))
}
