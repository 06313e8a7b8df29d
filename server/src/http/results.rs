//! What a finished round hands out.

use std::path::PathBuf;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use promptfed_prompts::protocol::{
    MODEL_MEDIA_TYPE, RoundId, RoundResults, RoundState, SyntheticSummary,
};

use super::access::Round;
use super::file_body::FileBody;
use super::openapi::{Access, Anywhere, Bytes, OfRound, OfState};
use super::problem::{Answer, Refusal};
use super::viewer::Viewer;
use crate::state::AppState;
use crate::store::Work;

/// Everything needed to judge the round and to make it again, of the training that is published.
#[utoipa::path(get, path = "/v1/rounds/{round_id}/results", tag = "results",
    security(("admin" = []), ("client" = [])),
    params(("round_id" = u32, Path, description = "The round.")),
    responses((status = 200, description = "The results.", body = RoundResults), Access, OfRound, OfState, Anywhere))]
pub(super) async fn results(
    viewer: Viewer,
    Round(round): Round,
    State(state): State<AppState>,
) -> Answer<Json<RoundResults>> {
    let mut results = finished(&state, round, viewer).await?;
    viewer.keep_own(&state, round, &mut results).await?;
    // Whichever training is published.
    results.model.path = format!("/v1/rounds/{round}/model");
    Ok(Json(results))
}

/// What the synthetic set's manifest holds, summed up.
#[utoipa::path(get, path = "/v1/rounds/{round_id}/synthetic", tag = "results",
    security(("admin" = []), ("client" = [])),
    params(("round_id" = u32, Path, description = "The round.")),
    responses((status = 200, description = "The summary.", body = SyntheticSummary),
        Access, OfRound, OfState, Anywhere))]
pub(super) async fn synthetic(
    viewer: Viewer,
    Round(round): Round,
    State(state): State<AppState>,
) -> Answer<Json<SyntheticSummary>> {
    let RoundResults {
        round_id,
        sources,
        images,
        per_class,
        ..
    } = finished(&state, round, viewer).await?;
    Ok(Json(SyntheticSummary {
        round_id,
        sources,
        images,
        per_class,
    }))
}

/// The trained model as a safetensors file, of the training that is published.
#[utoipa::path(get, path = "/v1/rounds/{round_id}/model", tag = "results",
    security(("admin" = []), ("client" = [])),
    params(("round_id" = u32, Path, description = "The round.")),
    responses((status = 200, description = "The weights, configuration in the header.",
            content_type = "application/octet-stream", body = Bytes),
        Access, OfRound, OfState, Anywhere))]
pub(super) async fn model(
    viewer: Viewer,
    Round(round): Round,
    State(state): State<AppState>,
) -> Answer<impl IntoResponse> {
    let training = finished(&state, round, viewer).await?.training;
    let file = state.folder.model(Work { round, training });
    sent(&state, file, MODEL_MEDIA_TYPE).await
}

/// A file as an answer.
pub(super) async fn sent(
    state: &AppState,
    file: PathBuf,
    media_type: &'static str,
) -> Answer<Response> {
    let opened = state.store(move |_| {
        let file = fs_err::File::open(file)?;
        let length = file.metadata()?.len();
        Ok((file.into_parts().0, length))
    });
    let (file, length) = opened.await?;
    let body = Body::new(FileBody::new(file, length));
    Ok(([(header::CONTENT_TYPE, media_type)], body).into_response())
}

async fn finished(state: &AppState, round: RoundId, viewer: Viewer) -> Answer<RoundResults> {
    let found = state
        .store(move |store| Ok((store.results(round)?, store.status(round)?)))
        .await?;
    match found {
        (Some(results), _) => {
            viewer.check(state, round).await?;
            Ok(results)
        }
        (None, None) => Err(Refusal::no_round(round)),
        (None, Some(status)) => {
            let (message, remedy) = match &status.state {
                RoundState::Failed { reason } => (
                    format!("round {round} failed: {reason}"),
                    "have the operator try it again, or open a new round",
                ),
                RoundState::Cancelled => {
                    (format!("round {round} was cancelled"), "open a new round")
                }
                RoundState::Open => (
                    format!("round {round} is still open"),
                    "wait until it is closed and its job is done; its status says how far it is",
                ),
                _ => (
                    format!("the job of round {round} is not done"),
                    "wait until its status is done",
                ),
            };
            Err(Refusal::wrong_state(message, remedy))
        }
    }
}
