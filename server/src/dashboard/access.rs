//! Who may look at the dashboard beside the administrator.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, Redirect};
use maud::{Markup, html};
use serde::Deserialize;

use super::fault::{Answer, Fault};
use super::layout::{Place, page};
use super::units::time;
use super::visitor::{Admin, Sent, Visitor};
use crate::role::Role;
use crate::state::AppState;
use crate::store::DashboardToken;
use crate::token::Token;

/// Longest name of whom a token is for, in bytes.
const MOST_NAME_BYTES: usize = 100;

/// The form of [`give`].
#[derive(Deserialize)]
pub(super) struct Given {
    role: String,
    name: String,
}

/// The form of [`end`].
#[derive(Deserialize)]
pub(super) struct Ended {
    id: String,
}

/// The tokens that were given.
pub(super) async fn list(
    Admin(visitor): Admin,
    State(state): State<AppState>,
) -> Answer<Html<String>> {
    shown(&visitor, &state, None).await
}

/// Makes a token, and shows it this once.
pub(super) async fn give(State(state): State<AppState>, sent: Sent<Given>) -> Answer<Html<String>> {
    let (visitor, Given { role, name }) = sent.of(Role::Admin)?;
    let role = Role::of_name(&role).filter(|role| *role < Role::Admin);
    let role = role.ok_or_else(Fault::bad_form)?;
    let name = name.trim().to_owned();
    if name.is_empty() || name.len() > MOST_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(Fault::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("a name has 1 to {MOST_NAME_BYTES} bytes and no control characters"),
            "go back and write for whom the token is",
        ));
    }
    let token = Token::for_role(role)?;
    let hash = token.hash();
    tracing::info!(role = role.name(), name, "token for the dashboard given");
    state
        .store(move |store| store.add_dashboard_token(role, &name, hash))
        .await?;
    shown(&visitor, &state, Some(&token)).await
}

/// Ends a token and its sessions.
pub(super) async fn end(State(state): State<AppState>, sent: Sent<Ended>) -> Answer<Redirect> {
    let (_, Ended { id }) = sent.of(Role::Admin)?;
    let id: u32 = id.parse().map_err(|_| Fault::bad_form())?;
    let ended = state
        .store(move |store| store.end_dashboard_token(id))
        .await?;
    tracing::info!(id, ended, "token for the dashboard ended");
    // One that has ended already is as it should be.
    Ok(Redirect::to("/dashboard/access"))
}

async fn shown(visitor: &Visitor, state: &AppState, new: Option<&Token>) -> Answer<Html<String>> {
    let tokens = state.store(|store| store.dashboard_tokens()).await?;
    let main = html! {
        h1 { "Access" }
        @if let Some(token) = new {
            div.notice role="status" {
                p { "The new token. It is shown this once; hand it over as you would a password:" }
                p { code.token { (token.as_str()) } }
            }
        }
        section aria-labelledby="given-title" {
            h2 id="given-title" { "Tokens given" }
            @if tokens.is_empty() { p { "None yet: only the administrator's token opens the dashboard." } }
            @else { (table(visitor, &tokens)) }
        }
        section aria-labelledby="new-title" {
            h2 id="new-title" { "Give a token" }
            form.stacked method="post" action="/dashboard/access" {
                (visitor.csrf_field())
                label for="name" { "For whom" }
                input type="text" id="name" name="name" required maxlength=(MOST_NAME_BYTES) autocomplete="off";
                label for="role" { "Role" }
                select id="role" name="role" {
                    option value="viewer" { "Viewer: rounds, figures and images; no prompts, no clients" }
                    option value="operator" { "Operator: everything, and closes, cancels and tries again" }
                }
                button type="submit" { "Give" }
            }
        }
    };
    Ok(page(visitor, Place::Access, "Access", &main))
}

fn table(visitor: &Visitor, tokens: &[DashboardToken]) -> Markup {
    html! {
        div.wide role="region" aria-label="Tokens" tabindex="0" {
            table {
                thead {
                    tr {
                        th scope="col" { "For whom" } th scope="col" { "Role" }
                        th scope="col" { "Given" } th scope="col" { "End it" }
                    }
                }
                tbody {
                    @for token in tokens {
                        tr {
                            th scope="row" { (token.name) }
                            td { (token.role.name()) }
                            td { (time(token.made_at)) }
                            td {
                                form method="post" action="/dashboard/access/end" {
                                    (visitor.csrf_field())
                                    input type="hidden" name="id" value=(token.id);
                                    button type="submit" aria-label=(format!("End the token of {}", token.name)) { "End" }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
