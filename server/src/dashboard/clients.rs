//! The clients: when each was heard of last, and how much it has sent.

use axum::extract::{Query, State};
use axum::response::Html;
use maud::html;
use serde::Deserialize;

use super::fault::Answer;
use super::layout::{Place, page};
use super::paging::Paging;
use super::units::{bytes, time};
use super::visitor::Operator;
use crate::state::AppState;

/// Clients on a page.
const EACH: u32 = 200;

/// The page that is asked for.
#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    page: String,
}

/// All clients in the order of their registration.
pub(super) async fn list(
    Operator(visitor): Operator,
    Query(asked): Query<Asked>,
    State(state): State<AppState>,
) -> Answer<Html<String>> {
    let paging = Paging::of(&asked.page, EACH.into());
    let read = state.store(move |store| {
        let shown = store.client_activity(paging.skipped(), EACH)?;
        Ok((store.clients()?.len() as u64, shown))
    });
    let (total, clients) = read.await?;
    let main = html! {
        h1 { "Clients" }
        @if total == 0 {
            p { "No client is registered yet. The administrator registers them with " code { "promptfed client add" } "." }
        } @else {
            p { (total) " clients are registered." }
            div.wide role="region" aria-label="Clients" tabindex="0" {
                table {
                    thead {
                        tr {
                            th scope="col" { "Client" } th scope="col" { "Registered" } th scope="col" { "Last submission" }
                            th scope="col" { "Prompt sets" } th scope="col" { "Bytes" } th scope="col" { "Token" }
                        }
                    }
                    tbody {
                        @for client in &clients {
                            tr {
                                th scope="row" { (client.client) " " (client.name) }
                                td { (time(client.registered_at)) }
                                td { @if let Some(at) = client.last_submission { (time(at)) } @else { "none" } }
                                td { (client.submissions) }
                                td { (bytes(client.bytes)) }
                                td { @if let Some(at) = client.revoked_at { "revoked " (time(at)) } @else { "not revoked" } }
                            }
                        }
                    }
                }
            }
            (paging.links(total, |page| format!("/dashboard/clients?page={page}")))
        }
    };
    Ok(page(&visitor, Place::Clients, "Clients", &main))
}
