//! Registration of clients, and its end.

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use promptfed_prompts::protocol::{
    ClientEntry, ClientId, Invitation, ProblemCode, RegistrationRequest, RegistrationsRequest,
};

use super::access::Admin;
use super::message::Message;
use super::openapi::{Access, Anywhere, Body, OfRound, OfState};
use super::problem::{Answer, Refusal};
use crate::state::AppState;
use crate::store::{Invited, Registered, now};

/// Registers a client and gives it a code, which is shown only once.
#[utoipa::path(post, path = "/v1/clients", tag = "clients", security(("admin" = [])),
    request_body = RegistrationRequest,
    responses((status = 201, description = "Registered.", body = Invitation), Access, Body, OfState, Anywhere))]
pub(super) async fn register(
    _: Admin,
    State(state): State<AppState>,
    Message(request): Message<RegistrationRequest>,
) -> Answer<(StatusCode, Json<Invitation>)> {
    let RegistrationRequest {
        name,
        replace_token,
    } = request;
    let mut request = RegistrationsRequest::of(vec![name]);
    request.replace_tokens = replace_token;
    let invitation = all(&state, request).await?.pop();
    let none = || Refusal::from(crate::Error::Panic("no client was registered".to_owned()));
    Ok((StatusCode::CREATED, Json(invitation.ok_or_else(none)?)))
}

/// Registers several clients, all or none, and gives each a code, which is shown only once.
#[utoipa::path(post, path = "/v1/registrations", tag = "clients", security(("admin" = [])),
    request_body = RegistrationsRequest,
    responses((status = 201, description = "Registered, in the order of the names.", body = [Invitation]), Access, Body, OfState, Anywhere))]
pub(super) async fn register_all(
    _: Admin,
    State(state): State<AppState>,
    Message(request): Message<RegistrationsRequest>,
) -> Answer<(StatusCode, Json<Vec<Invitation>>)> {
    Ok((StatusCode::CREATED, Json(all(&state, request).await?)))
}

async fn all(state: &AppState, request: RegistrationsRequest) -> Answer<Vec<Invitation>> {
    // Of earlier versions there are clients whose names would not be taken now.
    if let Err(invalid) = request.validate() {
        if !request.replace_tokens {
            return Err(invalid.into());
        }
        let names = request.names.clone();
        let known = state.store(move |store| store.known_names(&names)).await?;
        request.validate_but(|name| known.contains(name))?;
    }
    let RegistrationsRequest {
        names,
        replace_tokens,
        code_seconds,
    } = request;
    let expires_at = now().saturating_add(u64::from(code_seconds) * 1000);
    let wanted = names.clone();
    let registered = state.store(move |store| store.register(&wanted, replace_tokens, expires_at));
    let invited = match registered.await? {
        Registered::As(invited) => invited,
        Registered::NamesTaken(names) => return Err(names_taken(&names)),
    };
    let invitations = names.into_iter().zip(invited).map(|(name, invited)| {
        let Invited {
            client,
            code,
            is_new,
        } = invited;
        match is_new {
            true => tracing::info!(%client, name, "client registered"),
            false => tracing::info!(%client, name, "client rotated"),
        }
        Invitation {
            client_id: client,
            name,
            code: code.as_str().to_owned(),
            expires_at,
        }
    });
    Ok(invitations.collect())
}

/// Most names that a refusal lists.
const MOST_NAMES: usize = 100;

fn names_taken(names: &[String]) -> Refusal {
    let listed: Vec<String> = names
        .iter()
        .take(MOST_NAMES)
        .map(|name| format!("{name:?}"))
        .collect();
    let more = match names.len() - listed.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let names = listed.join(", ");
    Refusal::new(
        StatusCode::CONFLICT,
        ProblemCode::NameTaken,
        format!("registered already, so that nobody was registered: {names}{more}"),
        "leave these out or choose other names, or set replace_token (of several, replace_tokens) to give these clients new codes",
    )
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

/// Ends a client's token and takes back its code; what it has submitted stays. Doing it again changes nothing.
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
    tracing::info!(%client, "client revoked");
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
