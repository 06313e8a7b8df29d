//! The prompts as they arrived, client by client.

use axum::extract::{Path, Query, State};
use axum::response::Html;
use maud::{Markup, html};
use promptfed_prompts::protocol::{ClientId, RoundId, RoundSpec};
use promptfed_prompts::{Domain, PromptSet};
use serde::Deserialize;

use super::fault::{Answer, Fault};
use super::layout::{Place, page};
use super::paging::Paging;
use super::units::{bytes, time};
use super::visitor::{Operator, Round};
use crate::state::AppState;

/// Prompts on a page.
const EACH: u64 = 100;

/// The page that is asked for.
#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    page: String,
}

/// The clients whose prompts a round has.
pub(super) async fn list(
    Operator(visitor): Operator,
    Round(round): Round,
    State(state): State<AppState>,
) -> Answer<Html<String>> {
    let members = state.store(move |store| store.members(round)).await?;
    let members = members.ok_or_else(|| Fault::no_round(round))?;
    let sent: Vec<_> = members
        .iter()
        .filter_map(|member| Some((member, member.submission.as_ref()?)))
        .collect();
    let title = format!("Prompts of round {round}");
    let main = html! {
        h1 { (title) }
        p { a href=(format!("/dashboard/rounds/{round}")) { "Round " (round) } }
        @if sent.is_empty() { p { "No client has submitted yet." } }
        ul {
            @for (member, submission) in &sent {
                li {
                    a href=(format!("/dashboard/rounds/{round}/prompts/{}", member.client_id)) { (member.name) }
                    ": " (submission.prompts) " prompts in " (bytes(submission.bytes)) ", " (time(submission.received_at))
                }
            }
        }
    };
    Ok(page(&visitor, Place::Rounds, &title, &main))
}

/// One client's prompts, a page at a time.
pub(super) async fn of_client(
    Operator(visitor): Operator,
    Path((round, client)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    State(state): State<AppState>,
) -> Answer<Html<String>> {
    let number = |text: &str| text.parse::<u32>().map_err(|_| Fault::no_page());
    let (round, client) = (
        RoundId::new(number(&round)?),
        ClientId::new(number(&client)?),
    );
    let paging = Paging::of(&asked.page, EACH);
    let (spec, wire_bytes, set) = arrived(&state, round, client).await?;
    let title = format!("Prompts of client {client} in round {round}");
    let base = format!("/dashboard/rounds/{round}/prompts");
    let main = html! {
        h1 { (title) }
        p { a href=(base) { "All clients of the round" } }
        @match &set {
            Some(set) => (table(set, &spec, paging, &format!("{base}/{client}"))),
            None => p { (bytes(wire_bytes)) " came that this server cannot open." }
        }
    };
    Ok(page(&visitor, Place::Rounds, &title, &main))
}

/// What a client has sent: its bytes, and the set where this server can open and read it.
pub(super) async fn arrived(
    state: &AppState,
    round: RoundId,
    client: ClientId,
) -> Answer<(RoundSpec, u64, Option<PromptSet>)> {
    // What decodes takes much memory.
    let _decoding = state.decoders.turn(None).await?;
    let read = state.store(move |store| {
        let (Some(spec), Some(sent)) = (store.round_spec(round)?, store.wire(round, client)?)
        else {
            return Ok(None);
        };
        let seal = store.seal(round).unwrap_or_else(|error| {
            tracing::warn!(%round, %error, "the prompts of a round cannot be opened");
            None
        });
        let wire = seal.as_ref().and_then(|seal| seal.open(client, &sent).ok());
        let set = wire.and_then(|wire| PromptSet::from_wire(&wire, &spec.label_space).ok());
        Ok(Some((spec, sent.len() as u64, set)))
    });
    read.await?.ok_or_else(Fault::no_page)
}

fn table(set: &PromptSet, spec: &RoundSpec, paging: Paging, address: &str) -> Markup {
    let shown = (0..).zip(set.prompts());
    let shown = shown.filter(|(entry, _)| paging.holds(*entry));
    html! {
        p { (set.len()) " prompts of level " (set.level()) ", BLAKE3 " code { (set.hash()) } }
        h2 { "Templates" }
        ul {
            @for (domain, template) in set.templates() {
                li {
                    (domain.map_or("without a domain", Domain::as_str)) ": " q { (template.positive()) }
                    @if !template.negative().is_empty() { ", negative " q { (template.negative()) } }
                }
            }
        }
        h2 { "Prompts" }
        div.wide role="region" aria-label="Prompts" tabindex="0" {
            table {
                thead {
                    tr {
                        th scope="col" { "Number" } th scope="col" { "Class" } th scope="col" { "Domain" }
                        th scope="col" { "Caption" } th scope="col" { "Private images" }
                    }
                }
                tbody {
                    @for (entry, prompt) in shown {
                        tr {
                            td { (entry + 1) }
                            td { (spec.label_space.class_name(prompt.class).unwrap_or("unknown")) }
                            td { (prompt.domain.as_ref().map_or("", Domain::as_str)) }
                            td { (prompt.caption.as_ref().map_or("", |caption| caption.as_str())) }
                            td { @if let Some(count) = prompt.count { (count) } @else { "not told" } }
                        }
                    }
                }
            }
        }
        (paging.links(set.len() as u64, |page| format!("{address}?page={page}")))
    }
}
