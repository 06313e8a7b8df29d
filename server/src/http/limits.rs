//! Bounds on time and on requests at once.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use promptfed_prompts::protocol::ProblemCode;

use super::problem::Refusal;
use crate::state::AppState;

/// Turns requests away when too many are in work, and ends those that take too long.
pub(super) async fn bound(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let Ok(_permit) = state.requests.try_acquire() else {
        let message = "the server works on as many requests as it can";
        let remedy = "try again after a second";
        return Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            ProblemCode::Busy,
            message,
            remedy,
        )
        .into_response();
    };
    match tokio::time::timeout(state.request_timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let seconds = state.request_timeout.as_secs();
            let message = format!("the request was not finished within {seconds} seconds");
            let remedy = "send it again over a faster connection; what was stored before is kept";
            Refusal::new(
                StatusCode::REQUEST_TIMEOUT,
                ProblemCode::Timeout,
                message,
                remedy,
            )
            .into_response()
        }
    }
}
