//! The clients of a round, for its administrator.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use promptfed_prompts::protocol::{ClientId, RoundId, RoundMember, RoundStatus};

use super::access::{Admin, Round};
use super::clients::no_client;
use super::openapi::{Access, Anywhere, OfRound, OfState};
use super::problem::{Answer, Refusal};
use crate::Result;
use crate::state::AppState;
use crate::store::{Excluded, Store};

/// Who has submitted to a round and who has not: every client whose token works, and those that were excluded.
#[utoipa::path(get, path = "/v1/rounds/{round_id}/submissions", operation_id = "members", tag = "submissions", security(("admin" = [])),
    params(("round_id" = u32, Path, description = "The round.")),
    responses((status = 200, description = "The clients.", body = [RoundMember]), Access, OfRound, Anywhere))]
pub(super) async fn list(
    _: Admin,
    Round(round): Round,
    State(state): State<AppState>,
) -> Answer<Json<Vec<RoundMember>>> {
    let members = state.store(move |store| store.members(round)).await?;
    members.map(Json).ok_or_else(|| Refusal::no_round(round))
}

/// Removes a client's prompt set from a round that is open, paused or has failed, with the images made so far, and takes none of it any more.
/// Doing it again changes nothing.
#[utoipa::path(put, path = "/v1/rounds/{round_id}/exclusions/{client_id}", tag = "submissions", security(("admin" = [])),
    params(("round_id" = u32, Path, description = "The round."), ("client_id" = u32, Path, description = "The client.")),
    responses((status = 200, description = "Excluded.", body = RoundStatus), Access, OfRound, OfState, Anywhere))]
pub(super) async fn exclude(
    _: Admin,
    member: OfRoundAndClient,
    State(state): State<AppState>,
) -> Answer<Json<RoundStatus>> {
    let OfRoundAndClient { round, client } = member;
    let folder = Arc::clone(&state.folder);
    let status = change(&state, member, move |store| {
        let Some(spec) = store.round_spec(round)? else {
            return Ok(Excluded::NoRound);
        };
        store.exclude(round, client, &spec, || folder.discard_images(round))
    });
    let status = status.await?;
    tracing::info!(%round, %client, "client excluded");
    Ok(status)
}

/// Lets a client submit again that was excluded from a round. Doing it again changes nothing.
#[utoipa::path(delete, path = "/v1/rounds/{round_id}/exclusions/{client_id}", tag = "submissions", security(("admin" = [])),
    params(("round_id" = u32, Path, description = "The round."), ("client_id" = u32, Path, description = "The client.")),
    responses((status = 200, description = "Let in.", body = RoundStatus), Access, OfRound, OfState, Anywhere))]
pub(super) async fn include(
    _: Admin,
    member: OfRoundAndClient,
    State(state): State<AppState>,
) -> Answer<Json<RoundStatus>> {
    let OfRoundAndClient { round, client } = member;
    change(&state, member, move |store| store.include(round, client)).await
}

async fn change(
    state: &AppState,
    OfRoundAndClient { round, client }: OfRoundAndClient,
    change: impl FnOnce(&Store) -> Result<Excluded> + Send + 'static,
) -> Answer<Json<RoundStatus>> {
    match state.store(change).await? {
        Excluded::Done(status) => Ok(Json(status)),
        Excluded::WrongState(status) => Err(Refusal::wrong_state(
            format!("round {round} is {}", status.state.name()),
            "only a round that is open, paused or has failed can lose a client; open a new round",
        )),
        Excluded::NoRound => Err(Refusal::no_round(round)),
        Excluded::NoClient => Err(no_client(client)),
    }
}

/// The round and the client that the path names.
#[derive(Clone, Copy)]
pub(super) struct OfRoundAndClient {
    round: RoundId,
    client: ClientId,
}

impl FromRequestParts<AppState> for OfRoundAndClient {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Answer<Self> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let numbers = path.ok().and_then(|Path((round, client))| {
            Some(Self {
                round: round.parse().ok()?,
                client: client.parse().ok()?,
            })
        });
        numbers.ok_or_else(|| {
            Refusal::malformed(
                "the path's round or client is not a number",
                "use a round_id of GET /v1/rounds and a client_id of GET /v1/clients",
            )
        })
    }
}
