//! Rounds: opening, following, ending.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use promptfed_prompts::protocol::{
    DeletedRound, FusePlan, RoundEvent, RoundId, RoundSpec, RoundState, RoundStatus,
};
use promptfed_synth::Sampler;
use promptfed_synth::fuse::FuseSpec;

use super::access::{Admin, Member, Round};
use super::message::Message;
use super::openapi::{Access, Anywhere, Body, OfRound, OfState};
use super::problem::{Answer, Refusal};
use crate::job::{in_gigabytes, most_memory, needed_memory};
use crate::state::AppState;
use crate::store::{Change, Deleted, Store, Work};

/// So much must be free on the disk when a round closes.
const JOB_BYTES: usize = 16 << 20;

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
    if let Some(fuse) = &plan.fuse {
        check_fusion(&state, fuse, spec.training.image_size, plan.seed)?;
    }
    let warning = check_memory(&spec)?;
    let mut status = state.store(move |store| store.open_round(&spec)).await?;
    tracing::info!(round = %status.round_id, name = status.name, "round opened");
    status.warnings.extend(warning);
    Ok((StatusCode::CREATED, Json(status)))
}

/// Refuses a round whose training cannot fit this machine; warns of one that takes more than half of it.
pub(super) fn check_memory(spec: &RoundSpec) -> Answer<Option<String>> {
    let Some(most) = most_memory() else {
        return Ok(None);
    };
    let told = |needed: u64| {
        format!(
            "the training needs {} of memory at least, and the server's machine has {}",
            in_gigabytes(needed),
            in_gigabytes(most)
        )
    };
    let least = needed_memory(spec, 1);
    if least > most {
        let remedy = "ask for fewer images, smaller ones, a smaller batch or a narrower classifier";
        return Err(Refusal::invalid(told(least), remedy));
    }
    let likely = needed_memory(spec, spec.label_space.len() as u64);
    Ok((likely > most / 2).then(|| told(likely)))
}

/// Refuses a fusion that this server cannot do.
fn check_fusion(state: &AppState, plan: &FusePlan, image_size: u32, seed: u64) -> Answer<()> {
    let fuse = FuseSpec::of_plan(plan, image_size as usize, seed).map_err(|error| {
        let message = format!("synthesis.fuse: {error}");
        Refusal::invalid(message, "change the fusion, or leave it out")
    })?;
    if fuse.needs_network() {
        state.engines.check_network().map_err(|error| {
            let remedy = "choose a selection and task models that do not look at images by it, or put the program's assets beside the server";
            Refusal::invalid(error.to_string(), remedy)
        })?;
    }
    Ok(())
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
    let change = queued(&state, move |store| store.close(round)).await?;
    changed(&state, round, change, |status| match status.state {
        RoundState::Open => Refusal::wrong_state(
            format!("round {round} has no submission yet"),
            "close it after the first client has submitted, or cancel it",
        ),
        RoundState::Failed { .. } | RoundState::Paused { .. } => Refusal::wrong_state(
            told(&status),
            "have it tried again with POST /v1/rounds/{round_id}/retry, or open a new round",
        ),
        _ => Refusal::wrong_state(told(&status), "open a new round"),
    })
}

/// Has a job queued, where the disk has room for it.
pub(crate) async fn queued<T: Send + 'static>(
    state: &AppState,
    change: impl FnOnce(&Store) -> crate::Result<T> + Send + 'static,
) -> Answer<T> {
    let folder = Arc::clone(&state.folder);
    let change = state.store(move |store| {
        folder.prove_space(JOB_BYTES)?;
        change(store)
    });
    let change = change.await?;
    state.jobs.wake();
    Ok(change)
}

/// A round's state in a sentence.
pub(crate) fn told(status: &RoundStatus) -> String {
    let (round, name) = (status.round_id, status.state.name());
    match &status.state {
        RoundState::Failed { reason } | RoundState::Paused { reason } => {
            format!("round {round} is {name}: {reason}")
        }
        _ => format!("round {round} is {name}"),
    }
}

/// Has the job of a round that failed, or is paused, tried again. Doing it again changes nothing.
#[utoipa::path(post, path = "/v1/rounds/{round_id}/retry", tag = "rounds", security(("admin" = [])),
    params(("round_id" = u32, Path, description = "The round.")),
    responses((status = 200, description = "Queued again.", body = RoundStatus), Access, OfRound, OfState, Anywhere))]
pub(super) async fn retry(
    _: Admin,
    Round(round): Round,
    State(state): State<AppState>,
) -> Answer<Json<RoundStatus>> {
    let change = queued(&state, move |store| store.retry(round)).await?;
    changed(&state, round, change, |status| {
        let remedy = match status.state {
            RoundState::Failed { .. } | RoundState::Paused { .. } => {
                "no submission is left; open a new round"
            }
            _ => "only a round that failed or is paused can be tried again",
        };
        Refusal::wrong_state(told(&status), remedy)
    })
}

/// Deletes a round: its prompts, its images, its model. Nothing of it can be brought back. The database's files are written anew after the answer;
/// the metric `promptfed_rounds_to_erase` is zero when no byte of the prompts is left in them.
#[utoipa::path(delete, path = "/v1/rounds/{round_id}", tag = "rounds", security(("admin" = [])),
    params(("round_id" = u32, Path, description = "The round.")),
    responses((status = 200, description = "Deleted.", body = DeletedRound), Access, OfRound, OfState, Anywhere))]
pub(super) async fn delete(
    _: Admin,
    Round(round): Round,
    State(state): State<AppState>,
) -> Answer<Json<DeletedRound>> {
    let remedy = "cancel what is queued or in work first, the round's own job or a later training, and delete the round when that has ended";
    if state.jobs.works_on(round) {
        let message = format!("the job of round {round} is in work, or coming to its end");
        return Err(Refusal::wrong_state(message, remedy));
    }
    let folder = Arc::clone(&state.folder);
    let jobs = state.jobs.clone();
    let deleted = state.store(move |store| {
        let deleted = store.delete_round(round)?;
        let discarded = match deleted {
            Deleted::Done(_) => folder.discard_round(round),
            _ => Ok(()),
        };
        // Whatever is left, it comes back to.
        jobs.wake_eraser();
        discarded.map(|()| deleted)
    });
    match deleted.await? {
        Deleted::Done(deleted) => {
            tracing::info!(%round, submissions = deleted.submissions, "round deleted");
            Ok(Json(deleted))
        }
        Deleted::InWork(status) if status.state == RoundState::Done => Err(Refusal::wrong_state(
            format!("a training of round {round} is queued"),
            "cancel the training first, and delete the round then",
        )),
        Deleted::InWork(status) => Err(Refusal::wrong_state(told(&status), remedy)),
        Deleted::NoRound => Err(Refusal::no_round(round)),
    }
}

/// What happened to a round, the earliest first: the last 5,000 submissions, and the last 5,000 other events.
#[utoipa::path(get, path = "/v1/rounds/{round_id}/log", tag = "rounds", security(("admin" = [])),
    params(("round_id" = u32, Path, description = "The round.")),
    responses((status = 200, description = "The events.", body = [RoundEvent]), Access, OfRound, Anywhere))]
pub(super) async fn log(
    _: Admin,
    Round(round): Round,
    State(state): State<AppState>,
) -> Answer<Json<Vec<RoundEvent>>> {
    let events = state.store(move |store| store.events(round)).await?;
    events.map(Json).ok_or_else(|| Refusal::no_round(round))
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
        state.jobs.cancel(Work::of_round(round));
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
pub(crate) fn live(state: &AppState, status: &mut RoundStatus) {
    if status.state == RoundState::Queued
        && let Some((progress, warnings)) = state.jobs.progress(Work::of_round(status.round_id))
    {
        status.state = progress;
        status.warnings = warnings;
    }
}
