//! Registration of clients, and its end.

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use promptfed_prompts::protocol::{
    ClientEntry, ClientId, ProblemCode, Registration, RegistrationRequest, RegistrationsRequest,
};

use super::access::Admin;
use super::message::Message;
use super::openapi::{Access, Anywhere, Body, OfRound, OfState};
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
    let is_name = request.validate();
    let RegistrationRequest {
        name,
        replace_token,
    } = request;
    if let Err(invalid) = is_name {
        // Of earlier versions there are clients whose names would not be taken now.
        let known = name.clone();
        if !replace_token || !state.store(move |store| store.knows(&known)).await? {
            return Err(invalid.into());
        }
    }
    let mut registered = all(&state, vec![name], replace_token).await?;
    let registration = registered
        .pop()
        .ok_or_else(|| Refusal::from(crate::Error::Panic("no client was registered".to_owned())))?;
    Ok((StatusCode::CREATED, Json(registration)))
}

/// Registers several clients, all or none, and gives each a token, which is shown only once.
#[utoipa::path(post, path = "/v1/registrations", tag = "clients", security(("admin" = [])),
    request_body = RegistrationsRequest,
    responses((status = 201, description = "Registered, in the order of the names.", body = [Registration]), Access, Body, OfState, Anywhere))]
pub(super) async fn register_all(
    _: Admin,
    State(state): State<AppState>,
    Message(request): Message<RegistrationsRequest>,
) -> Answer<(StatusCode, Json<Vec<Registration>>)> {
    request.validate()?;
    let RegistrationsRequest {
        names,
        replace_tokens,
    } = request;
    let registered = all(&state, names, replace_tokens).await?;
    Ok((StatusCode::CREATED, Json(registered)))
}

async fn all(
    state: &AppState,
    names: Vec<String>,
    replace_tokens: bool,
) -> Answer<Vec<Registration>> {
    let wanted = names.clone();
    let registered = state.store(move |store| store.register(&wanted, replace_tokens));
    match registered.await? {
        Registered::As(clients) => {
            let registrations = names.into_iter().zip(clients);
            Ok(registrations
                .map(|(name, (client_id, token))| {
                    tracing::info!(%client_id, name, "client registered");
                    Registration {
                        client_id,
                        name,
                        token: token.as_str().to_owned(),
                    }
                })
                .collect())
        }
        Registered::NameTaken(name) => Err(Refusal::new(
            StatusCode::CONFLICT,
            ProblemCode::NameTaken,
            format!("a client named {name:?} is registered already"),
            "choose another name, or set replace_token to give this client a new token",
        )),
    }
}

/// All clients in the order of their registration.
#[utoipa::path(get, path = "/v1/clients", operation_id = "clients", tag = "clients", security(("admin" = [])),
    responses((status = 200, description = "The clients.", body = [ClientEntry]), Access, Anywhere))]
pub(super) async fn list(
    _: Admin,
    State(state): State<AppState>,
) -> Answer<Json<Vec<ClientEntry>>> {
    Ok(Json(state.store(|store| store.clients()).await?))
}

/// Ends a client's token; what it has submitted stays. Doing it again changes nothing.
#[utoipa::path(delete, path = "/v1/clients/{client_id}", tag = "clients", security(("admin" = [])),
    params(("client_id" = u32, Path, description = "The client.")),
    responses((status = 200, description = "Revoked.", body = ClientEntry), Access, OfRound, Anywhere))]
pub(super) async fn revoke(
    _: Admin,
    Client(client): Client,
    State(state): State<AppState>,
) -> Answer<Json<ClientEntry>> {
    let revoked = state.store(move |store| store.revoke(client)).await?;
    let revoked = revoked.ok_or_else(|| no_client(client))?;
    tracing::info!(%client, "token revoked");
    Ok(Json(revoked))
}

pub(super) fn no_client(client: ClientId) -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        ProblemCode::NotFound,
        format!("there is no client {client}"),
        "list the clients with GET /v1/clients",
    )
}

/// The client that the path names.
pub(super) struct Client(ClientId);

impl FromRequestParts<AppState> for Client {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Answer<Self> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.ok()
            .and_then(|Path(text)| text.parse().ok())
            .map(Self)
            .ok_or_else(|| {
                Refusal::malformed(
                    "the path's client is not a number",
                    "use a client_id of GET /v1/clients",
                )
            })
    }
}
