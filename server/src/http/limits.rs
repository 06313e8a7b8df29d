//! Bounds on time, and on requests at once: of one client, and of all.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::Body as _;
use promptfed_prompts::protocol::ProblemCode;
use tokio::time::timeout;
use tracing::Instrument;

use super::access::identify;
use super::arrival::{ArrivalError, Arriving, Granted};
use super::load::Overload;
use super::problem::{Answer, Refusal};
use crate::Error;
use crate::listen::Held;
use crate::state::AppState;

/// Gives a request its place among those of its caller and its turn to work, and ends one that works for too long.
pub(super) async fn bound(State(state): State<AppState>, request: Request, next: Next) -> Response {
    admit(state, request, next)
        .await
        .unwrap_or_else(IntoResponse::into_response)
}

async fn admit(state: AppState, mut request: Request, next: Next) -> Answer<Response> {
    // Nothing counts it yet: it has no turn to wait for, and so a bound of its own.
    let identified = timeout(state.load.limits.turn, identify(request.headers(), &state)).await;
    let caller = identified.map_err(|_| Overload::Work)??;
    request.extensions_mut().insert(caller);
    let place = state.load.place(caller)?;
    let granted = Arc::new(Granted::default());
    // Only these methods' bodies are read. While one comes in it takes no turn from anybody.
    let has_body =
        matches!(*request.method(), Method::POST | Method::PUT) && !request.body().is_end_stream();
    if has_body {
        let (place, granted) = (Arc::clone(&place), Arc::clone(&granted));
        request = request.map(|body| Body::new(Arriving::new(body, place, granted)));
    } else {
        granted.give(Arc::clone(&place).turn().await?);
    }
    let turn = Arc::clone(&granted);
    // A task of its own keeps its turn until its work ends, even where nobody waits for the answer any more.
    let work = async move {
        let response = next.run(request).await;
        drop(turn);
        // The place is free once the answer has been sent.
        response.map(|body| Body::new(Held::new(body, place)))
    };
    let limit = state.load.limits.request;
    let overdue = async move {
        granted.came().await;
        tokio::time::sleep(limit).await;
    };
    tokio::select! {
        response = tokio::spawn(work.in_current_span()) => {
            response.map_err(|error| Error::Panic(error.to_string()).into())
        }
        () = overdue => {
            let message = format!("the request was not finished within {} seconds", limit.as_secs());
            let remedy = "ask whether it was done before you send it again; what was stored is kept";
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, ProblemCode::Timeout, message, remedy))
        }
    }
}

impl From<Overload> for Refusal {
    fn from(overload: Overload) -> Self {
        let (status, remedy) = match overload {
            Overload::Client => (
                StatusCode::TOO_MANY_REQUESTS,
                "send it again when one of them has ended",
            ),
            Overload::Bodies | Overload::Work => {
                (StatusCode::SERVICE_UNAVAILABLE, "try again after a second")
            }
        };
        Self::new(status, ProblemCode::Busy, overload.to_string(), remedy)
    }
}

impl From<&ArrivalError> for Refusal {
    fn from(error: &ArrivalError) -> Self {
        match error {
            ArrivalError::Slow => Self::new(
                StatusCode::REQUEST_TIMEOUT,
                ProblemCode::Timeout,
                error.to_string(),
                "send it again over a faster connection",
            ),
            ArrivalError::Overload(overload) => (*overload).into(),
            ArrivalError::Broken(_) => Self::malformed(error.to_string(), "send the request again"),
        }
    }
}
