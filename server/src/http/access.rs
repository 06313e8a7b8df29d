//! Who a request comes from, and what it may do.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
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

enum Caller {
    Admin,
    Client(ClientId),
}

impl FromRequestParts<AppState> for Admin {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Answer<Self> {
        match caller(parts, state).await? {
            Caller::Admin => Ok(Self),
            Caller::Client(_) => Err(forbidden(
                "only the administrator may do this",
                "administrator's",
            )),
        }
    }
}

impl FromRequestParts<AppState> for Client {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Answer<Self> {
        match caller(parts, state).await? {
            Caller::Client(client) => Ok(Self(client)),
            Caller::Admin => Err(forbidden("only a client may do this", "client's own")),
        }
    }
}

impl FromRequestParts<AppState> for Member {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Answer<Self> {
        caller(parts, state).await.map(|_| Self)
    }
}

async fn caller(parts: &Parts, state: &AppState) -> Answer<Caller> {
    let header = parts
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let bearer = header.and_then(|value| value.split_once(' '));
    let Some((_, token)) = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
    else {
        return Err(unauthenticated("the request carries no bearer token"));
    };
    let token = token.trim();
    if state.admin.matches(token) {
        return Ok(Caller::Admin);
    }
    let unknown = || unauthenticated("the bearer token is not known here");
    let client = Token::claimed_client(token).ok_or_else(unknown)?;
    let hash = state.store(move |store| store.token_hash(client)).await?;
    match hash.filter(|hash| hash.matches(token)) {
        Some(_) => Ok(Caller::Client(client)),
        None => Err(unknown()),
    }
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
