//! To which key a client seals its prompts.

use axum::Json;
use axum::extract::State;
use promptfed_prompts::protocol::RoundSealing;

use super::access::{Client, Round};
use super::openapi::{Access, Anywhere, OfRound};
use super::problem::{Answer, Refusal};
use crate::state::AppState;

/// The round's public key, and the number under which the client seals to it.
#[utoipa::path(get, path = "/v1/rounds/{round_id}/sealing", tag = "submissions", security(("client" = [])),
    params(("round_id" = u32, Path, description = "The round.")),
    responses((status = 200, description = "Key and client.", body = RoundSealing), Access, OfRound, Anywhere))]
pub(super) async fn sealing(
    Client(client): Client,
    Round(round): Round,
    State(state): State<AppState>,
) -> Answer<Json<RoundSealing>> {
    let key = state.store(move |store| store.sealing_key(round)).await?;
    let key = key.ok_or_else(|| Refusal::no_round(round))?;
    Ok(Json(RoundSealing {
        round_id: round,
        client_id: client,
        key,
    }))
}
