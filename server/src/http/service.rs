//! The server about itself.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use promptfed_prompts::WIRE_VERSION;
use promptfed_prompts::protocol::Health;

use super::openapi::{Anywhere, DOCUMENT};
use super::problem::Answer;
use crate::state::AppState;

/// Whether the server answers and its database works.
#[utoipa::path(get, path = "/health", tag = "service",
    responses((status = 200, description = "All is well.", body = Health), Anywhere))]
pub(super) async fn health(State(state): State<AppState>) -> Answer<Json<Health>> {
    state.store(|store| store.check()).await?;
    Ok(Json(Health {
        status: "ok".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        wire_version: WIRE_VERSION,
    }))
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "service",
    responses((status = 200, description = "The OpenAPI document.", content_type = "application/json"), Anywhere))]
pub(super) async fn document() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "application/json")],
        DOCUMENT.as_str(),
    )
}
