//! Enrolment: a client spends its code for a token of its own making, which the server knows by its hash.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use promptfed_prompts::protocol::{Enrolment, EnrolmentRequest, MAX_ENROLMENT_BYTES, ProblemCode};

use super::message::Message;
use super::openapi::{Anywhere, Body, OfCode};
use super::problem::{Answer, Refusal};
use crate::state::AppState;
use crate::store::Enrolled;
use crate::token::{Token, TokenHash};

/// Spends a code for a token that the client has made; an earlier token of the client works no longer. The same again has the same answer.
#[utoipa::path(post, path = "/v1/enrolment", tag = "clients",
    request_body = EnrolmentRequest,
    responses((status = 200, description = "Enrolled.", body = Enrolment), Body, OfCode, Anywhere))]
pub(super) async fn enrol(
    State(state): State<AppState>,
    Message(request): Message<EnrolmentRequest, MAX_ENROLMENT_BYTES>,
) -> Answer<Json<Enrolment>> {
    let EnrolmentRequest { code, token_hash } = request;
    let Some(client_id) = Token::invited_client(&code) else {
        return Err(unknown());
    };
    let token = TokenHash::from_bytes(*token_hash.as_bytes());
    let enrolled = state.store(move |store| store.enrol(client_id, &code, token));
    match enrolled.await? {
        Enrolled::As(name) => {
            tracing::info!(client = %client_id, name, "client enrolled");
            Ok(Json(Enrolment { client_id, name }))
        }
        Enrolled::Unknown => Err(unknown()),
        Enrolled::Spent => Err(gone(
            ProblemCode::SpentCode,
            "the code was used already, and works once",
            "ask the operator for a new one, and tell them if it was not you who used it",
        )),
        Enrolled::Expired => Err(gone(
            ProblemCode::ExpiredCode,
            "the code has expired",
            "ask the operator for a new one",
        )),
    }
}

fn unknown() -> Refusal {
    Refusal::new(
        StatusCode::FORBIDDEN,
        ProblemCode::UnknownCode,
        "the code is not known here, or was taken back",
        "see that it is whole, or ask the operator for a new one",
    )
}

fn gone(code: ProblemCode, message: &str, remedy: &str) -> Refusal {
    Refusal::new(StatusCode::GONE, code, message, remedy)
}
