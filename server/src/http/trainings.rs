//! Later trainings of a finished round's images, for its administrator.

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use promptfed_prompts::LabelSpace;
use promptfed_prompts::protocol::{
    MODEL_MEDIA_TYPE, ProblemCode, RoundId, RoundResults, RoundSpec, RoundState, TrainingRequest,
    TrainingStatus,
};

use super::access::{Admin, Round};
use super::message::Message;
use super::openapi::{Access, Anywhere, Body, Bytes, OfRound, OfState};
use super::problem::{Answer, Refusal};
use super::results::sent;
use super::rounds::{check_memory, queued, told};
use crate::state::AppState;
use crate::store::{Asked, NewTraining, Store, TrainingChange, Work};

/// Trains on the images of a round that is done once more: with other settings, with classes drawn again, without what was dropped meanwhile. The
/// round's results stay as they are until this training is published.
#[utoipa::path(post, path = "/v1/rounds/{round_id}/trainings", operation_id = "train", tag = "trainings", security(("admin" = [])),
    params(("round_id" = u32, Path, description = "The round.")),
    request_body = TrainingRequest,
    responses((status = 201, description = "Queued.", body = TrainingStatus), Access, Body, OfRound, OfState, Anywhere))]
pub(super) async fn ask(
    _: Admin,
    Round(round): Round,
    State(state): State<AppState>,
    Message(request): Message<TrainingRequest>,
) -> Answer<(StatusCode, Json<TrainingStatus>)> {
    request.validate()?;
    let spec = state.store(move |store| store.round_spec(round)).await?;
    let spec = spec.ok_or_else(|| Refusal::no_round(round))?;
    if spec.synthesis.fuse.is_some() && !request.redraw.is_empty() {
        return Err(Refusal::wrong_state(
            format!("the images of round {round} were chosen among those of several engines"),
            "drop the bad ones and train again, or open a new round with another seed",
        ));
    }
    let new = NewTraining {
        plan: request.plan.unwrap_or(spec.training),
        redraw: classes(&request.redraw, &spec.label_space)?,
        images_of: request.images_of,
        publish: request.publish,
    };
    check_memory(&RoundSpec {
        training: new.plan,
        ..spec
    })?;
    let images_of = new.images_of.unwrap_or_default();
    match queued(&state, move |store| store.ask_training(round, &new)).await? {
        Asked::Queued(status) => {
            tracing::info!(%round, training = status.training, "training asked for");
            Ok((StatusCode::CREATED, Json(status)))
        }
        Asked::NotDone(status) => Err(Refusal::wrong_state(
            told(&status),
            "wait until its own training is done",
        )),
        Asked::NoTraining => Err(Refusal::invalid(
            format!("images_of: round {round} has no training {images_of}"),
            "list its trainings with GET /v1/rounds/{round_id}/trainings",
        )),
        Asked::NoRound => Err(Refusal::no_round(round)),
    }
}

/// The trainings of a round, its own first; none while it takes submissions.
#[utoipa::path(get, path = "/v1/rounds/{round_id}/trainings", operation_id = "trainings", tag = "trainings", security(("admin" = [])),
    params(("round_id" = u32, Path, description = "The round.")),
    responses((status = 200, description = "The trainings.", body = [TrainingStatus]), Access, OfRound, Anywhere))]
pub(super) async fn list(
    _: Admin,
    Round(round): Round,
    State(state): State<AppState>,
) -> Answer<Json<Vec<TrainingStatus>>> {
    let trainings = state.store(move |store| store.trainings(round)).await?;
    let mut trainings = trainings.ok_or_else(|| Refusal::no_round(round))?;
    trainings.iter_mut().for_each(|status| live(&state, status));
    Ok(Json(trainings))
}

/// The results of one training of a round, published or not.
#[utoipa::path(get, path = "/v1/rounds/{round_id}/trainings/{training}", operation_id = "training_results", tag = "trainings", security(("admin" = [])),
    params(("round_id" = u32, Path, description = "The round."), ("training" = u32, Path, description = "The training.")),
    responses((status = 200, description = "The results.", body = RoundResults), Access, OfRound, OfState, Anywhere))]
pub(super) async fn results(
    _: Admin,
    Training(work): Training,
    State(state): State<AppState>,
) -> Answer<Json<RoundResults>> {
    let mut results = finished(&state, work).await?;
    let Work { round, training } = work;
    results.model.path = format!("/v1/rounds/{round}/trainings/{training}/model");
    Ok(Json(results))
}

/// The model of one training of a round, published or not, as a safetensors file.
#[utoipa::path(get, path = "/v1/rounds/{round_id}/trainings/{training}/model", operation_id = "training_model", tag = "trainings", security(("admin" = [])),
    params(("round_id" = u32, Path, description = "The round."), ("training" = u32, Path, description = "The training.")),
    responses((status = 200, description = "The weights, configuration in the header.",
            content_type = "application/octet-stream", body = Bytes),
        Access, OfRound, OfState, Anywhere))]
pub(super) async fn model(
    _: Admin,
    Training(work): Training,
    State(state): State<AppState>,
) -> Answer<impl IntoResponse> {
    finished(&state, work).await?;
    sent(&state, state.folder.model(work), MODEL_MEDIA_TYPE).await
}

/// Makes the model of a training that is done the one that clients get. Doing it again changes nothing.
#[utoipa::path(post, path = "/v1/rounds/{round_id}/trainings/{training}/publish", operation_id = "publish", tag = "trainings", security(("admin" = [])),
    params(("round_id" = u32, Path, description = "The round."), ("training" = u32, Path, description = "The training.")),
    responses((status = 200, description = "Published.", body = TrainingStatus), Access, OfRound, OfState, Anywhere))]
pub(super) async fn publish(
    _: Admin,
    Training(work): Training,
    State(state): State<AppState>,
) -> Answer<Json<TrainingStatus>> {
    let change = state.store(move |store| store.publish(work)).await?;
    changed(
        &state,
        work,
        change,
        "only a training that is done can be published",
    )
    .await
}

/// Ends a training without results; a job in work stops. Doing it again changes nothing.
#[utoipa::path(post, path = "/v1/rounds/{round_id}/trainings/{training}/cancel", operation_id = "cancel_training", tag = "trainings", security(("admin" = [])),
    params(("round_id" = u32, Path, description = "The round."), ("training" = u32, Path, description = "The training.")),
    responses((status = 200, description = "Cancelled.", body = TrainingStatus), Access, OfRound, OfState, Anywhere))]
pub(super) async fn cancel(
    _: Admin,
    Training(work): Training,
    State(state): State<AppState>,
) -> Answer<Json<TrainingStatus>> {
    let change = state.store(move |store| store.cancel_training(work));
    let change = change.await?;
    if matches!(change, TrainingChange::Done(_)) {
        state.jobs.cancel(work);
    }
    let remedy = match work.training {
        1 => {
            "the round's own training is cancelled with the round: POST /v1/rounds/{round_id}/cancel"
        }
        _ => "nothing is left to cancel",
    };
    changed(&state, work, change, remedy).await
}

/// Has a training that failed, or is paused, tried again. Doing it again changes nothing.
#[utoipa::path(post, path = "/v1/rounds/{round_id}/trainings/{training}/retry", operation_id = "retry_training", tag = "trainings", security(("admin" = [])),
    params(("round_id" = u32, Path, description = "The round."), ("training" = u32, Path, description = "The training.")),
    responses((status = 200, description = "Queued again.", body = TrainingStatus), Access, OfRound, OfState, Anywhere))]
pub(super) async fn retry(
    _: Admin,
    Training(work): Training,
    State(state): State<AppState>,
) -> Answer<Json<TrainingStatus>> {
    let change = queued(&state, move |store| store.retry_training(work)).await?;
    let remedy = match work.training {
        1 => {
            "the round's own training is tried again with the round: POST /v1/rounds/{round_id}/retry"
        }
        _ => "only a training that failed or is paused can be tried again",
    };
    changed(&state, work, change, remedy).await
}

/// The numbers of classes.
fn classes(names: &[String], label_space: &LabelSpace) -> Answer<Vec<u32>> {
    let number = |name: &String| {
        label_space
            .index_of(name)
            .map(|class| class.get())
            .ok_or_else(|| {
                Refusal::invalid(
                    format!("the round has no class {name:?}"),
                    "name classes of the round's label space",
                )
            })
    };
    names.iter().map(number).collect()
}

async fn finished(state: &AppState, work: Work) -> Answer<RoundResults> {
    let found =
        state.store(move |store| Ok((store.training_results(work)?, store.trainings(work.round)?)));
    let (results, trainings) = found.await?;
    if let Some(results) = results {
        return Ok(results);
    }
    let mut trainings = trainings
        .ok_or_else(|| Refusal::no_round(work.round))?
        .into_iter();
    let status = trainings.find(|status| status.training == work.training);
    let status = status.ok_or_else(|| no_training(work))?;
    Err(not_so(
        &status,
        "wait until it is done, or have it tried again",
    ))
}

async fn changed(
    state: &AppState,
    work: Work,
    change: TrainingChange,
    remedy: &str,
) -> Answer<Json<TrainingStatus>> {
    match change {
        TrainingChange::Done(mut status) => {
            live(state, &mut status);
            Ok(Json(status))
        }
        TrainingChange::WrongState(status) => Err(not_so(&status, remedy)),
        TrainingChange::NoTraining => {
            let there = state.store(move |store: &Store| store.has_round(work.round));
            Err(match there.await? {
                true => no_training(work),
                false => Refusal::no_round(work.round),
            })
        }
    }
}

/// That a training's state does not allow something.
fn not_so(status: &TrainingStatus, remedy: &str) -> Refusal {
    let (number, round) = (status.training, status.round_id);
    let message = match &status.state {
        RoundState::Failed { reason } | RoundState::Paused { reason } => {
            format!(
                "training {number} of round {round} is {}: {reason}",
                status.state.name()
            )
        }
        state => format!("training {number} of round {round} is {}", state.name()),
    };
    Refusal::wrong_state(message, remedy)
}

fn no_training(Work { round, training }: Work) -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        ProblemCode::NotFound,
        format!("round {round} has no training {training}"),
        "list its trainings with GET /v1/rounds/{round_id}/trainings",
    )
}

/// Puts the running job's progress into the status of its training.
fn live(state: &AppState, status: &mut TrainingStatus) {
    let work = Work {
        round: status.round_id,
        training: status.training,
    };
    if status.state == RoundState::Queued
        && let Some((progress, _)) = state.jobs.progress(work)
    {
        status.state = progress;
    }
}

/// The training that the path names.
pub(super) struct Training(Work);

impl FromRequestParts<AppState> for Training {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Answer<Self> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let work = path.ok().and_then(|Path((round, training))| {
            Some(Work {
                round: round.parse::<RoundId>().ok()?,
                training: training.parse().ok().filter(|number| *number > 0)?,
            })
        });
        work.map(Self).ok_or_else(|| {
            Refusal::malformed(
                "the path's round or training is not a number",
                "use a round_id of GET /v1/rounds and a training of GET /v1/rounds/{round_id}/trainings",
            )
        })
    }
}
