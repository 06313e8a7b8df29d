//! Prompt sets coming in.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use promptfed_prompts::protocol::{
    ProblemCode, RoundId, RoundSpec, SubmissionAnswer, SubmissionOutcome, SubmissionReceipt,
    WIRE_MEDIA_TYPE,
};
use promptfed_prompts::{Error as PromptsError, MAX_WIRE_BYTES, PromptSet};

use super::access::{Client, Round};
use super::message::{check_media_type, read};
use super::openapi::{Access, Anywhere, Body, Bytes, OfRound, OfState};
use super::problem::{Answer, Refusal};
use crate::Error;
use crate::state::AppState;
use crate::store::{NewSubmission, Submitted};

/// Stores the client's prompt set. It is checked first and on the disk when the answer comes.
///
/// The same content again has the same receipt, whatever the round's state; different content takes the place of the
/// client's earlier set while the round is open.
#[utoipa::path(put, path = "/v1/rounds/{round_id}/submission", tag = "submissions", security(("client" = [])),
    params(("round_id" = u32, Path, description = "The round.")),
    request_body(content = Bytes, content_type = "application/vnd.promptfed.prompts",
        description = "A prompt set in wire format."),
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
    let wire = read(body, MAX_WIRE_BYTES).await?;
    let (bytes, label_space) = (wire.len() as u64, spec.label_space.name().to_owned());
    // What decodes takes much memory; who is slow to send holds up nobody.
    let _permit = state
        .submissions
        .acquire()
        .await
        .map_err(|e| Error::Panic(e.to_string()))?;
    let submitted = state.store(move |store| {
        let set = match received(&wire, &spec) {
            Ok(set) => set,
            Err(error) => return Ok(Err(unacceptable(error, round, &label_space))),
        };
        store
            .submit(&NewSubmission {
                round,
                client,
                spec: &spec,
                set: &set,
                wire: &wire,
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

/// Reads a prompt set and holds it to what the round has agreed.
fn received(wire: &[u8], spec: &RoundSpec) -> Result<PromptSet, PromptsError> {
    let set = PromptSet::from_wire(wire, &spec.label_space)?;
    if let Some(plan) = &spec.prompts {
        plan.check(&set)?;
    }
    Ok(set)
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
