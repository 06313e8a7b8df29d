//! Prompt sets coming in.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use promptfed_privacy::{MAX_SEALED_BYTES, SealingError};
use promptfed_prompts::protocol::{
    ProblemCode, RoundId, RoundSpec, RoundState, RoundStatus, SubmissionAnswer, SubmissionOutcome,
    SubmissionReceipt, WIRE_MEDIA_TYPE, Withdrawal,
};
use promptfed_prompts::{Error as PromptsError, PromptSet};

use super::access::{Client, Round};
use super::message::{check_media_type, read};
use super::openapi::{Access, Anywhere, Body, Bytes, OfRound, OfState};
use super::problem::{Answer, Refusal};
use crate::Error;
use crate::state::AppState;
use crate::store::{NewSubmission, Submitted, Withdrawn};

/// Stores the client's prompt set. It is checked first and on the disk when the answer comes.
///
/// The same content again has the same receipt, whatever the round's state; different content takes the place of the
/// client's earlier set while the round is open.
#[utoipa::path(put, path = "/v1/rounds/{round_id}/submission", tag = "submissions", security(("client" = [])),
    params(("round_id" = u32, Path, description = "The round.")),
    request_body(content = Bytes, content_type = "application/vnd.promptfed.prompts",
        description = "A prompt set in wire format, sealed to the round's key where it has one."),
    responses((status = 201, description = "Stored for the first time.", body = SubmissionAnswer),
        (status = 200, description = "Replaced, or the same as before.", body = SubmissionAnswer),
        Access, OfRound, Body, OfState, Anywhere))]
pub(super) async fn submit(
    Client(client): Client,
    Round(round): Round,
    State(state): State<AppState>,
    request: Request,
) -> Answer<(StatusCode, Json<SubmissionAnswer>)> {
    let (parts, body) = request.into_parts();
    check_media_type(&parts.headers, WIRE_MEDIA_TYPE)?;
    let spec = state.store(move |store| store.round_spec(round)).await?;
    let spec = spec.ok_or_else(|| Refusal::no_round(round))?;
    let sent = read(body, MAX_SEALED_BYTES).await?;
    let bytes = sent.len() as u64;
    // What decodes takes much memory; who is slow to send holds up nobody.
    let _decoding = state.decoders.turn(Some(client)).await?;
    let submitted = state.store(move |store| {
        let seal = match store.seal(round) {
            Ok(Some(seal)) => seal,
            Ok(None) => return Ok(Ok(Submitted::NoRound)),
            Err(error @ Error::RoundKey { .. }) => return Ok(Err(no_key(round, &error))),
            Err(error) => return Err(error),
        };
        let wire = match seal.open(client, &sent) {
            Ok(wire) => wire,
            Err(error) => return Ok(Err(unopened(error))),
        };
        let set = match received(&wire, &spec) {
            Ok(set) => set,
            Err(error) => return Ok(Err(unacceptable(error, round, spec.label_space.name()))),
        };
        store
            .submit(&NewSubmission {
                round,
                client,
                spec: &spec,
                set: &set,
                sent: &sent,
                seal: &seal,
            })
            .map(Ok)
    });
    match submitted.await?? {
        Submitted::Answer { answer, closed } => {
            if closed {
                state.jobs.wake();
            }
            tracing::info!(%round, %client, bytes, prompts = answer.receipt.prompts, outcome = ?answer.outcome, "submission");
            if answer.outcome != SubmissionOutcome::Duplicate {
                state.jobs.metrics().submitted(bytes);
            }
            let first = answer.outcome == SubmissionOutcome::Stored;
            let status = if first {
                StatusCode::CREATED
            } else {
                StatusCode::OK
            };
            Ok((status, Json(answer)))
        }
        Submitted::WrongState(state) => Err(Refusal::wrong_state(
            format!("round {round} takes no submissions any more: it is {state}"),
            "submit to an open round",
        )),
        Submitted::Differs(what) => Err(Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            ProblemCode::Incompatible,
            format!("the prompt set cannot be pooled with those of the other clients: {what}"),
            "extract again with the level and templates agreed for this round",
        )),
        Submitted::TooMuch(what) => Err(Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            ProblemCode::Incompatible,
            format!("with this prompt set the pool of round {round} would have {what}"),
            "extract fewer prompts, with --max-prompts or at a level that tells less; or ask the operator whether a client is to be excluded",
        )),
        Submitted::Excluded => Err(Refusal::new(
            StatusCode::FORBIDDEN,
            ProblemCode::Forbidden,
            format!("the operator has excluded this client from round {round}"),
            "ask the operator why",
        )),
        Submitted::NoRound => Err(Refusal::no_round(round)),
    }
}

/// The receipt of what the client has submitted.
#[utoipa::path(get, path = "/v1/rounds/{round_id}/submission", tag = "submissions", security(("client" = [])),
    params(("round_id" = u32, Path, description = "The round.")),
    responses((status = 200, description = "The receipt.", body = SubmissionReceipt), Access, OfRound, Anywhere))]
pub(super) async fn receipt(
    Client(client): Client,
    Round(round): Round,
    State(state): State<AppState>,
) -> Answer<Json<SubmissionReceipt>> {
    let receipt = state
        .store(move |store| store.receipt(round, client))
        .await?;
    receipt.map(Json).ok_or_else(|| {
        let message = format!("this client has submitted nothing to round {round}");
        Refusal::new(
            StatusCode::NOT_FOUND,
            ProblemCode::NotFound,
            message,
            "submit a prompt set first",
        )
    })
}

/// Takes the client's prompt set out of a round that is open; the client may submit again. Doing it again changes nothing.
#[utoipa::path(delete, path = "/v1/rounds/{round_id}/submission", tag = "submissions", security(("client" = [])),
    params(("round_id" = u32, Path, description = "The round.")),
    responses((status = 200, description = "Withdrawn, or nothing was there.", body = Withdrawal),
        Access, OfRound, OfState, Anywhere))]
pub(super) async fn withdraw(
    Client(client): Client,
    Round(round): Round,
    State(state): State<AppState>,
) -> Answer<Json<Withdrawal>> {
    // What is taken out of the pool's size is decoded again.
    let _decoding = state.decoders.turn(Some(client)).await?;
    let withdrawn = state.store(move |store| match store.round_spec(round)? {
        None => Ok(Withdrawn::NoRound),
        Some(spec) => store.withdraw(round, client, &spec),
    });
    match withdrawn.await? {
        Withdrawn::Done(receipt) => {
            if receipt.is_some() {
                tracing::info!(%round, %client, "submission withdrawn");
            }
            Ok(Json(Withdrawal {
                round_id: round,
                client_id: client,
                receipt,
            }))
        }
        Withdrawn::WrongState(status) => Err(too_late(&status)),
        Withdrawn::NoRound => Err(Refusal::no_round(round)),
    }
}

/// Of a round that is closed nothing can be withdrawn: its prompts are in its images and its model, or are about to be.
fn too_late(status: &RoundStatus) -> Refusal {
    let remedy = match status.state {
        RoundState::Failed { .. } | RoundState::Paused { .. } => {
            "ask the operator to exclude this client, which removes its prompts and the images made of them, or to delete the round"
        }
        _ => "ask the operator to delete the round with its prompts, images and model",
    };
    Refusal::wrong_state(
        format!(
            "round {} is {}, and prompts are withdrawn from open rounds alone",
            status.round_id,
            status.state.name()
        ),
        remedy,
    )
}

/// Reads a prompt set and holds it to what the round has agreed.
fn received(wire: &[u8], spec: &RoundSpec) -> Result<PromptSet, PromptsError> {
    let set = PromptSet::from_wire(wire, &spec.label_space)?;
    if let Some(plan) = &spec.prompts {
        plan.check(&set)?;
    }
    Ok(set)
}

/// A set that is not sealed as the round asks.
fn unopened(error: SealingError) -> Refusal {
    let message = error.to_string();
    match error {
        SealingError::TooLarge { max, .. } => Refusal::too_large(max),
        SealingError::NotOpened => Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            ProblemCode::NotOpened,
            message,
            "seal it to the key, and under the client's number, of GET /v1/rounds/{round_id}/sealing",
        ),
        _ => Refusal::malformed(
            message,
            "use the server's release of promptfed, which seals prompts to the key of GET /v1/rounds/{round_id}/sealing",
        ),
    }
}

/// A round whose private key was lost takes nothing more.
fn no_key(round: RoundId, error: &Error) -> Refusal {
    tracing::error!(%round, %error, "submission refused");
    Refusal::wrong_state(
        format!(
            "the server has lost the key of round {round}, and can open no prompts that are sealed to it"
        ),
        "ask the operator to put the key back, or to open another round",
    )
}

fn unacceptable(error: PromptsError, round: RoundId, label_space: &str) -> Refusal {
    let message = error.to_string();
    match error {
        PromptsError::WrongLabelSpace { .. } => Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            ProblemCode::WrongLabelSpace,
            message,
            format!(
                "extract again with the label space {label_space:?} that GET /v1/rounds/{round} gives"
            ),
        ),
        PromptsError::LevelNotAgreed { .. }
        | PromptsError::TemplateNotAgreed { .. }
        | PromptsError::NoTemplate { .. } => Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            ProblemCode::Incompatible,
            message,
            format!(
                "extract again with level and templates of the round: `promptfed extract --round {round}` takes them from it"
            ),
        ),
        PromptsError::QuotaExceeded { agreed, .. } => Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            ProblemCode::Incompatible,
            message,
            format!(
                "leave prompts out: `promptfed extract --round {round} --max-prompts {agreed}`"
            ),
        ),
        PromptsError::WireTooLarge { max, .. } => Refusal::too_large(max),
        PromptsError::NotAPromptSet { .. }
        | PromptsError::UnknownVersion { .. }
        | PromptsError::Compression { .. }
        | PromptsError::TrailingBytes { .. } => Refusal::malformed(
            message,
            "send the bytes of PromptSet::to_wire of a matching version",
        ),
        _ => Refusal::invalid(message, "mend the entry named and submit again"),
    }
}
