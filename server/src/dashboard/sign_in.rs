//! Signing in with a token, and out again.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::{Extensions, HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::fault::{Answer, Fault};
use super::layout;
use super::visitor::{Sent, check_origin, set_cookie};
use crate::listen::Peer;
use crate::role::Role;
use crate::state::AppState;
use crate::token::{Token, TokenHash};

/// How long a session lasts.
const SESSION: Duration = Duration::from_secs(8 * 3600);

/// The form of [`enter`].
#[derive(Deserialize)]
pub(super) struct Entry {
    token: String,
}

/// A form without fields of its own.
#[derive(Deserialize)]
pub(super) struct Nothing {}

/// The page that asks for a token.
pub(super) async fn form() -> Html<String> {
    Html(layout::bare("Sign in", &asking(None)))
}

fn asking(fault: Option<&str>) -> Markup {
    html! {
        h1 { "Sign in" }
        @if let Some(fault) = fault { p.fault role="alert" id="fault" { (fault) } }
        form.stacked method="post" action="/dashboard/sign-in" {
            label for="token" { "Token" }
            input type="password" id="token" name="token" required autocomplete="current-password" autofocus
                aria-describedby=(if fault.is_some() { "fault hint" } else { "hint" });
            p id="hint" {
                "The administrator's is in the file " code { "admin.token" } " of the server's data folder. The administrator gives operators and viewers theirs."
            }
            button type="submit" { "Sign in" }
        }
    }
}

/// Begins a session for who has a token.
pub(super) async fn enter(
    State(state): State<AppState>,
    extensions: Extensions,
    headers: HeaderMap,
    entry: Result<Form<Entry>, FormRejection>,
) -> Answer<Response> {
    check_origin(&headers)?;
    let Ok(Form(Entry { token })) = entry else {
        return Err(Fault::bad_form());
    };
    let peer = extensions.get::<Peer>();
    let address = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
    let limit = &state.visits.sign_ins;
    if !limit.admits(address) {
        return Err(Fault::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too many tokens that are not known here came from this address",
            "wait for a minute and sign in again",
        ));
    }
    let token = token.trim();
    let hash = TokenHash::of(token);
    let role = match state.admin.matches(token) {
        true => Some(Role::Admin),
        false => state.store(move |store| store.dashboard_role(hash)).await?,
    };
    let Some(role) = role else {
        tracing::warn!(%address, "a token that is not known here was used to sign in");
        let page = layout::bare("Sign in", &asking(Some("This token is not known here.")));
        return Ok((StatusCode::UNAUTHORIZED, Html(page)).into_response());
    };
    limit.succeeded(address);
    let session = Token::for_session()?;
    let begun = session.hash();
    state
        .store(move |store| store.begin_session(begun, hash, role, SESSION))
        .await?;
    tracing::info!(%address, role = role.name(), "signed in to the dashboard");
    let cookie = set_cookie(Some(&session), SESSION.as_secs(), &headers);
    let home = Redirect::to("/dashboard");
    Ok(([(header::SET_COOKIE, cookie)], home).into_response())
}

/// Ends the session.
pub(super) async fn leave(
    State(state): State<AppState>,
    headers: HeaderMap,
    sent: Sent<Nothing>,
) -> Answer<Response> {
    let session = sent.visitor.session();
    state.store(move |store| store.end_session(session)).await?;
    let cookie = set_cookie(None, 0, &headers);
    let form = Redirect::to("/dashboard/sign-in");
    Ok(([(header::SET_COOKIE, cookie)], form).into_response())
}
