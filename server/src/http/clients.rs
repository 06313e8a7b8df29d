//! Registration.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use promptfed_prompts::protocol::{ProblemCode, Registration, RegistrationRequest};

use super::access::Admin;
use super::message::Message;
use super::openapi::{Access, Anywhere, Body, OfState};
use super::problem::{Answer, Refusal};
use crate::state::AppState;
use crate::store::Registered;

/// Registers a client and gives it a token, which is shown only once.
#[utoipa::path(post, path = "/v1/clients", tag = "clients", security(("admin" = [])),
    request_body = RegistrationRequest,
    responses((status = 201, description = "Registered.", body = Registration), Access, Body, OfState, Anywhere))]
pub(super) async fn register(
    _: Admin,
    State(state): State<AppState>,
    Message(request): Message<RegistrationRequest>,
) -> Answer<(StatusCode, Json<Registration>)> {
    request.validate()?;
    let RegistrationRequest {
        name,
        replace_token,
    } = request;
    let wanted = name.clone();
    match state
        .store(move |store| store.register(&wanted, replace_token))
        .await?
    {
        Registered::As(client_id, token) => {
            let token = token.as_str().to_owned();
            Ok((
                StatusCode::CREATED,
                Json(Registration {
                    client_id,
                    name,
                    token,
                }),
            ))
        }
        Registered::NameTaken => Err(Refusal::new(
            StatusCode::CONFLICT,
            ProblemCode::NameTaken,
            format!("a client named {name:?} is registered already"),
            "choose another name, or set replace_token to give this client a new token",
        )),
    }
}
