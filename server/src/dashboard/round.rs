//! One round: where it stands, who has submitted, what came of it.

use axum::extract::State;
use axum::response::Html;
use maud::html;
use promptfed_prompts::protocol::{RoundId, RoundMember, RoundResults, RoundSpec, RoundStatus};

use super::fault::{Answer, Fault};
use super::layout::{Place, page};
use super::results::results;
use super::round_parts::{actions, log, members, plan, standing};
use super::strip::{known, strips};
use super::visitor::{Round, Visitor};
use crate::Result;
use crate::http::live;
use crate::state::AppState;
use crate::store::{NumberedEvent, Store};

/// Events of the log that are shown at first.
pub(super) const SHOWN_EVENTS: u32 = 200;

/// All that a round's page shows to somebody.
pub(super) struct View {
    pub(super) status: RoundStatus,
    pub(super) spec: RoundSpec,
    pub(super) results: Option<RoundResults>,
    /// Nobody, for who sees no prompts.
    pub(super) members: Vec<RoundMember>,
}

impl View {
    /// Reads it; nothing where there is no such round.
    pub(super) fn read(store: &Store, round: RoundId, all: bool) -> Result<Option<Self>> {
        let (Some(status), Some(spec)) = (store.status(round)?, store.round_spec(round)?) else {
            return Ok(None);
        };
        Ok(Some(Self {
            status,
            spec,
            results: store.results(round)?,
            members: match all {
                true => store.members(round)?.unwrap_or_default(),
                false => Vec::new(),
            },
        }))
    }

    /// Whether the plan has the images of several sources fused.
    pub(super) fn fuses(&self) -> bool {
        self.spec.synthesis.fuse.is_some()
    }
}

/// The page of a round.
pub(super) async fn show(
    visitor: Visitor,
    Round(round): Round,
    State(state): State<AppState>,
) -> Answer<Html<String>> {
    let all = visitor.sees_prompts();
    let found = state.store(move |store| {
        let latest = match all {
            true => store.latest_events(Some(round), None, SHOWN_EVENTS)?,
            false => Vec::new(),
        };
        Ok(View::read(store, round, all)?.map(|view| (view, latest)))
    });
    let (mut view, latest): (View, Vec<NumberedEvent>) =
        found.await?.ok_or_else(|| Fault::no_round(round))?;
    live(&state, &mut view.status);
    let drawn = known(&state, round, &view.spec).await;
    let base = format!("/dashboard/rounds/{round}");
    let title = format!("Round {round}: {}", view.status.name);
    let main = html! {
        h1 { (title) }
        nav aria-label="Of this round" {
            ul {
                li { a href=(format!("{base}/images")) { "Images" } }
                @if all { li { a href=(format!("{base}/prompts")) { "Prompts" } } }
            }
        }
        noscript { p { "This page shows how it was when it was loaded. " a href=(base) { "Load it again" } } }
        div hx-ext="sse" sse-connect=(format!("{base}/live")) {
            section aria-labelledby="standing-title" {
                h2 id="standing-title" { "Where it stands" }
                div id="standing" sse-swap="standing" { (standing(&view.status, view.fuses(), &visitor)) }
                @if all { div id="actions" sse-swap="actions" { (actions(&view.status, &visitor)) } }
            }
            section aria-labelledby="strip-title" {
                h2 id="strip-title" { "Images" }
                div id="strip" sse-swap="strip" { (strips(&drawn)) }
            }
            section aria-labelledby="results-title" {
                h2 id="results-title" { "Results" }
                div id="results" sse-swap="results" { (results(&view.spec, view.results.as_ref(), &visitor)) }
            }
            @if all {
                section aria-labelledby="members-title" {
                    h2 id="members-title" { "Clients" }
                    div id="members" sse-swap="members" { (members(&view.members)) }
                }
                section aria-labelledby="log-title" {
                    h2 id="log-title" { "Log" }
                    div id="log" role="log" tabindex="0" aria-labelledby="log-title" sse-swap="log" { (log(&latest)) }
                }
            }
        }
        section aria-labelledby="plan-title" {
            h2 id="plan-title" { "Plan" }
            (plan(&view.spec))
        }
    };
    Ok(page(&visitor, Place::Rounds, &title, &main))
}
