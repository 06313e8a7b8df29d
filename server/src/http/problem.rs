//! Refusals: every error leaves as a problem document with a remedy.

use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use promptfed_prompts::protocol::{
    InvalidMessage, PROBLEM_MEDIA_TYPE, Problem, ProblemCode, RoundId,
};

use crate::Error;

/// The answer to a request that is refused.
#[derive(Debug)]
pub(crate) struct Refusal(Problem);

/// What a handler gives back.
pub(crate) type Answer<T> = Result<T, Refusal>;

impl Refusal {
    pub(crate) fn new(
        status: StatusCode,
        code: ProblemCode,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (message, remedy) = (message.into(), remedy.into());
        Self(Problem {
            status: status.as_u16(),
            code,
            message,
            remedy,
        })
    }

    /// What is told.
    pub(crate) fn into_problem(self) -> Problem {
        self.0
    }

    pub(crate) fn no_round(round: RoundId) -> Self {
        let message = format!("there is no round {round}");
        Self::new(
            StatusCode::NOT_FOUND,
            ProblemCode::NotFound,
            message,
            "list the rounds with GET /v1/rounds",
        )
    }

    pub(crate) fn wrong_state(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            ProblemCode::WrongState,
            message,
            remedy,
        )
    }

    pub(crate) fn invalid(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            ProblemCode::Invalid,
            message,
            remedy,
        )
    }

    pub(crate) fn malformed(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            ProblemCode::Malformed,
            message,
            remedy,
        )
    }

    pub(crate) fn media_type(expected: &str) -> Self {
        let message = "the body has no content type or another one than this path takes";
        let remedy = format!("send it with the header Content-Type: {expected}");
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ProblemCode::UnsupportedMediaType,
            message,
            remedy,
        )
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        let message = format!("the body is larger than {limit} bytes");
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            ProblemCode::TooLarge,
            message,
            "send less in one request",
        )
    }
}

#[cfg(test)]
impl Refusal {
    pub(super) fn status(&self) -> u16 {
        self.0.status
    }
}

impl From<InvalidMessage> for Refusal {
    fn from(error: InvalidMessage) -> Self {
        Self::invalid(
            error.to_string(),
            format!("give {} {}", error.field(), error.rule()),
        )
    }
}

impl From<Error> for Refusal {
    /// The cause stays in the log: it may name paths of the server's machine.
    fn from(error: Error) -> Self {
        tracing::error!(%error, "request failed");
        if error.is_out_of_space() {
            return Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                ProblemCode::StorageFull,
                "the server's disk is full",
                "have the operator free space and try again; what was stored is kept",
            );
        }
        if error.is_busy() {
            return Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                ProblemCode::Busy,
                "the server's database is being written to",
                "try again in a moment",
            );
        }
        let message = "the server failed to do this";
        let remedy = "try again; if it stays, ask the operator to read the server's log";
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            ProblemCode::Internal,
            message,
            remedy,
        )
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let mut response =
            (status, [(header::CONTENT_TYPE, PROBLEM_MEDIA_TYPE)], body).into_response();
        let extra = match status {
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer")),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                Some((header::RETRY_AFTER, "1"))
            }
            _ => None,
        };
        if let Some((name, value)) = extra {
            response
                .headers_mut()
                .insert(name, header::HeaderValue::from_static(value));
        }
        response
    }
}

pub(super) async fn no_such_path(uri: Uri) -> Refusal {
    let message = format!("there is nothing at {}", uri.path());
    Refusal::new(
        StatusCode::NOT_FOUND,
        ProblemCode::NotFound,
        message,
        "GET /openapi.json lists every path",
    )
}

pub(super) async fn no_such_method(method: Method, uri: Uri) -> Refusal {
    let message = format!("{} does not take {method}", uri.path());
    let remedy = "use a method of the Allow header; GET /openapi.json lists them";
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        ProblemCode::MethodNotAllowed,
        message,
        remedy,
    )
}
