//! Rounds: opening, following, ending.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use promptfed_prompts::protocol::{RoundId, RoundSpec, RoundState, RoundStatus};
use promptfed_synth::Sampler;

use super::access::{Admin, Member, Round};
use super::message::Message;
use super::openapi::{Access, Anywhere, Body, OfRound, OfState};
use super::problem::{Answer, Refusal};
use crate::state::AppState;
use crate::store::Change;

/// Opens a round for submissions.
#[utoipa::path(post, path = "/v1/rounds", tag = "rounds", security(("admin" = [])),
    request_body = RoundSpec,
    responses((status = 201, description = "Opened.", body = RoundStatus), Access, Body, Anywhere))]
pub(super) async fn open(
    _: Admin,
    State(state): State<AppState>,
    Message(spec): Message<RoundSpec>,
) -> Answer<(StatusCode, Json<RoundStatus>)> {
    spec.validate()?;
    let plan = &spec.synthesis;
    for source in &plan.sources {
        state.engines.check(&source.engine).map_err(|error| {
            Refusal::invalid(error.to_string(), "name engines that the server has")
        })?;
    }
    if plan.min_clip_score.is_some() {
        state.engines.check_clip().map_err(|error| {
            let remedy = "leave min_clip_score out, or start the server with a CLIP model";
            Refusal::invalid(error.to_string(), remedy)
        })?;
    }
    if let Some(sampler) = &plan.sampler {
        sampler
            .parse::<Sampler>()
            .map_err(|error| Refusal::invalid(error, "name a sampler that there is"))?;
    }
    let status = state.store(move |store| store.open_round(&spec)).await?;
    Ok((StatusCode::CREATED, Json(status)))
}

/// All rounds, the newest first.
#[utoipa::path(get, path = "/v1/rounds", tag = "rounds", security(("admin" = []), ("client" = [])),
    responses((status = 200, description = "The rounds.", body = [RoundStatus]), Access, Anywhere))]
pub(super) async fn list(
    _: Member,
    State(state): State<AppState>,
) -> Answer<Json<Vec<RoundStatus>>> {
    let mut rounds = state.store(|store| store.statuses()).await?;
    rounds.iter_mut().for_each(|status| live(&state, status));
    Ok(Json(rounds))
}

/// What a round is to do, with the whole label space.
#[utoipa::path(get, path = "/v1/rounds/{round_id}", tag = "rounds", security(("admin" = []), ("client" = [])),
    params(("round_id" = u32, Path, description = "The round.")),
    responses((status = 200, description = "The plan.", body = RoundSpec), Access, OfRound, Anywhere))]
pub(super) async fn spec(
    _: Member,
    Round(round): Round,
    State(state): State<AppState>,
) -> Answer<Json<RoundSpec>> {
    let spec = state.store(move |store| store.round_spec(round)).await?;
    spec.map(Json).ok_or_else(|| Refusal::no_round(round))
}

/// Where a round stands.
#[utoipa::path(get, path = "/v1/rounds/{round_id}/status", tag = "rounds",
    security(("admin" = []), ("client" = [])),
    params(("round_id" = u32, Path, description = "The round.")),
    responses((status = 200, description = "The state.", body = RoundStatus), Access, OfRound, Anywhere))]
pub(super) async fn status(
    _: Member,
    Round(round): Round,
    State(state): State<AppState>,
) -> Answer<Json<RoundStatus>> {
    let status = state.store(move |store| store.status(round)).await?;
    let mut status = status.ok_or_else(|| Refusal::no_round(round))?;
    live(&state, &mut status);
    Ok(Json(status))
}

/// Ends the time for submissions and starts the job. Doing it again changes nothing.
#[utoipa::path(post, path = "/v1/rounds/{round_id}/close", tag = "rounds", security(("admin" = [])),
    params(("round_id" = u32, Path, description = "The round.")),
    responses((status = 200, description = "Closed.", body = RoundStatus), Access, OfRound, OfState, Anywhere))]
pub(super) async fn close(
    _: Admin,
    Round(round): Round,
    State(state): State<AppState>,
) -> Answer<Json<RoundStatus>> {
    let change = state.store(move |store| store.close(round)).await?;
    state.jobs.wake();
    changed(&state, round, change, |status| match status.state {
        RoundState::Open => Refusal::wrong_state(
            format!("round {round} has no submission yet"),
            "close it after the first client has submitted, or cancel it",
        ),
        _ => Refusal::wrong_state(
            format!("round {round} is {}", status.state.name()),
            "open a new round",
        ),
    })
}

/// Ends a round without results; a job in work stops. Doing it again changes nothing.
#[utoipa::path(post, path = "/v1/rounds/{round_id}/cancel", tag = "rounds", security(("admin" = [])),
    params(("round_id" = u32, Path, description = "The round.")),
    responses((status = 200, description = "Cancelled.", body = RoundStatus), Access, OfRound, OfState, Anywhere))]
pub(super) async fn cancel(
    _: Admin,
    Round(round): Round,
    State(state): State<AppState>,
) -> Answer<Json<RoundStatus>> {
    let change = state.store(move |store| store.cancel(round)).await?;
    if matches!(change, Change::Done(_)) {
        state.jobs.cancel(round);
    }
    changed(&state, round, change, |status| {
        Refusal::wrong_state(
            format!("round {round} is {} already", status.state.name()),
            "nothing is left to cancel",
        )
    })
}

fn changed(
    state: &AppState,
    round: RoundId,
    change: Change,
    refuse: impl FnOnce(RoundStatus) -> Refusal,
) -> Answer<Json<RoundStatus>> {
    match change {
        Change::Done(mut status) => {
            live(state, &mut status);
            Ok(Json(status))
        }
        Change::WrongState(status) => Err(refuse(status)),
        Change::NoRound => Err(Refusal::no_round(round)),
    }
}

/// Puts the running job's progress into the status of its round.
fn live(state: &AppState, status: &mut RoundStatus) {
    if status.state == RoundState::Queued
        && let Some(progress) = state.jobs.progress(status.round_id)
    {
        status.state = progress;
    }
}
