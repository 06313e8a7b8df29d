//! Who a request comes from, and what it may do.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use promptfed_prompts::protocol::{ClientId, ProblemCode, RoundId};

use super::problem::{Answer, Refusal};
use crate::state::AppState;
use crate::token::Token;

/// The request carries the administrator's token.
pub(super) struct Admin;

/// The request carries this client's token.
pub(super) struct Client(pub(super) ClientId);

/// The request carries the administrator's or any client's token.
pub(super) struct Member;

/// Who a request comes from, by its token. It is found out once, before anything else, and travels with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    Admin,
    Client(ClientId),
    /// The request carries no token.
    Nobody,
    /// The request carries a token that is not known here.
    Stranger,
}

impl FromRequestParts<AppState> for Admin {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Answer<Self> {
        match caller(parts)? {
            Caller::Admin => Ok(Self),
            _ => Err(forbidden(
                "only the administrator may do this",
                "administrator's",
            )),
        }
    }
}

impl FromRequestParts<AppState> for Client {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Answer<Self> {
        match caller(parts)? {
            Caller::Client(client) => Ok(Self(client)),
            _ => Err(forbidden("only a client may do this", "client's own")),
        }
    }
}

impl FromRequestParts<AppState> for Member {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Answer<Self> {
        caller(parts).map(|_| Self)
    }
}

/// The administrator or a client; nobody else may do what asks for them.
fn caller(parts: &Parts) -> Answer<Caller> {
    match parts.extensions.get().copied() {
        Some(known @ (Caller::Admin | Caller::Client(_))) => Ok(known),
        Some(Caller::Stranger) => Err(unauthenticated("the bearer token is not known here")),
        Some(Caller::Nobody) | None => Err(unauthenticated("the request carries no bearer token")),
    }
}

/// Finds out who a request comes from.
pub(super) async fn identify(headers: &HeaderMap, state: &AppState) -> Answer<Caller> {
    let header = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let bearer = header.and_then(|value| value.split_once(' '));
    let Some((_, token)) = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
    else {
        return Ok(Caller::Nobody);
    };
    let token = token.trim();
    if state.admin.matches(token) {
        return Ok(Caller::Admin);
    }
    let Some(client) = Token::claimed_client(token) else {
        return Ok(Caller::Stranger);
    };
    let hash = state.store(move |store| store.token_hash(client)).await?;
    Ok(match hash.filter(|hash| hash.matches(token)) {
        Some(_) => Caller::Client(client),
        None => Caller::Stranger,
    })
}

fn unauthenticated(message: &str) -> Refusal {
    let remedy = "send the header Authorization: Bearer <token> with a token of this server";
    Refusal::new(
        StatusCode::UNAUTHORIZED,
        ProblemCode::Unauthenticated,
        message,
        remedy,
    )
}

fn forbidden(message: &str, whose: &str) -> Refusal {
    let remedy = format!("use the {whose} token");
    Refusal::new(
        StatusCode::FORBIDDEN,
        ProblemCode::Forbidden,
        message,
        remedy,
    )
}

/// The round that the path names.
pub(super) struct Round(pub(super) RoundId);

impl FromRequestParts<AppState> for Round {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Answer<Self> {
        let text = Path::<String>::from_request_parts(parts, state)
            .await
            .map(|Path(text)| text);
        text.ok()
            .and_then(|text| text.parse().ok())
            .map(Self)
            .ok_or_else(|| {
                Refusal::malformed(
                    "the path's round is not a number",
                    "use a round_id of GET /v1/rounds",
                )
            })
    }
}
