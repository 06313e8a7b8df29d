//! For those who keep a server running: whether it can work, and what it has done.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use promptfed_prompts::protocol::{ProblemCode, Readiness};

use super::access::Admin;
use super::openapi::{Access, Anywhere};
use super::problem::{Answer, Refusal};
use crate::state::AppState;

/// How long what was found out about the server's readiness is told again: it costs writes.
const CHECKED_FOR: Duration = Duration::from_secs(5);
/// What is written to find out whether the disk takes files.
const PROBE_BYTES: usize = 1 << 20;

/// What was found out last about the server's readiness.
#[derive(Debug, Default)]
pub(crate) struct LastCheck(Mutex<Option<(Instant, Readiness)>>);

impl LastCheck {
    fn recent(&self) -> Option<Readiness> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, found) = last.as_ref()?;
        (at.elapsed() < CHECKED_FOR).then(|| found.clone())
    }

    fn set(&self, found: &Readiness) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((Instant::now(), found.clone()));
    }
}

/// Whether the server can work: its database and its disk take writes, and the thread is there that works on jobs. What was found out is told for
/// five seconds.
#[utoipa::path(get, path = "/ready", tag = "service",
    responses((status = 200, description = "It can.", body = Readiness), Anywhere))]
pub(super) async fn ready(State(state): State<AppState>) -> Answer<Json<Readiness>> {
    let found = match state.last_check.recent() {
        Some(found) => found,
        None => {
            let folder = Arc::clone(&state.folder);
            let jobs = state.jobs.are_alive();
            let found = state.store(move |store| {
                let store = store.check_writable().is_ok();
                let disk = folder.prove_space(PROBE_BYTES).is_ok();
                Ok(Readiness {
                    ready: store && disk && jobs,
                    store,
                    disk,
                    jobs,
                })
            });
            let found = found.await?;
            state.last_check.set(&found);
            found
        }
    };
    let fault = match &found {
        Readiness { store: false, .. } => "its database cannot be written to",
        Readiness { disk: false, .. } => "its disk takes no files",
        Readiness { jobs: false, .. } => "the thread that works on jobs has ended",
        _ => return Ok(Json(found)),
    };
    Err(Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        ProblemCode::NotReady,
        format!("the server cannot work: {fault}"),
        "have the operator look at its disk and its log",
    ))
}

/// What the server has done since it was started, and the rounds by state, in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "service", security(("admin" = [])),
    responses((status = 200, description = "The metrics.", content_type = "text/plain", body = String), Access, Anywhere))]
pub(super) async fn metrics(_: Admin, State(state): State<AppState>) -> Answer<impl IntoResponse> {
    let told = state.store(|store| Ok((store.states()?, store.left_to_erase()?)));
    let (rounds, to_erase) = told.await?;
    let metrics = state.jobs.metrics();
    let text = metrics.text(&rounds, to_erase, state.jobs.stage());
    let media_type = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, media_type)], text))
}

/// Counts what is answered.
pub(super) async fn count(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let response = next.run(request).await;
    let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    let status = response.status().as_u16();
    state.jobs.metrics().answered(status, micros);
    response
}
