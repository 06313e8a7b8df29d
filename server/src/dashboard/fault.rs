//! What is shown where a page cannot be.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use maud::html;
use promptfed_prompts::protocol::RoundId;

use super::layout;
use crate::Error;
use crate::http::Refusal;
use crate::role::Role;

/// Why there is no page.
#[derive(Debug)]
pub(super) enum Fault {
    /// Nobody is signed in. A page leads to the form; what a page loads gets the bare status.
    SignedOut { leads_on: bool },
    /// It is told in a page of its own.
    Told {
        status: StatusCode,
        message: String,
        remedy: String,
    },
}

/// What a page's handler gives back.
pub(super) type Answer<T> = Result<T, Fault>;

impl Fault {
    pub(super) fn new(
        status: StatusCode,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Told {
            status,
            message: message.into(),
            remedy: remedy.into(),
        }
    }

    pub(super) fn signed_out(headers: &HeaderMap) -> Self {
        let accepts = headers.get(header::ACCEPT).map(HeaderValue::as_bytes);
        let is_page = accepts.is_none_or(|accepts| {
            let html = b"text/html";
            accepts.windows(html.len()).any(|part| part == html)
        });
        // htmx would put the form into the middle of the page.
        let is_part = headers.contains_key("hx-request");
        Self::SignedOut {
            leads_on: is_page && !is_part,
        }
    }

    pub(super) fn not_for(role: Role) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            format!("this is not shown to who signs in as {}", role.name()),
            "sign out and sign in with another token, or ask the administrator for one",
        )
    }

    pub(super) fn no_page() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "there is no such page",
            "begin with the list of rounds",
        )
    }

    pub(super) fn no_round(round: RoundId) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            format!("there is no round {round}"),
            "begin with the list of rounds",
        )
    }

    pub(super) fn no_image() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "there is no such image",
            "begin with the images of the round",
        )
    }

    pub(super) fn bad_form() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "the form cannot be read",
            "load the page again and send it anew",
        )
    }

    pub(super) fn forged() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "the form did not come from a page of this session",
            "load the page again and send it anew",
        )
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let problem = refusal.into_problem();
        let status =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, problem.message, problem.remedy)
    }
}

impl From<Error> for Fault {
    /// The cause stays in the log: it may name paths of the server's machine.
    fn from(error: Error) -> Self {
        Refusal::from(error).into()
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        match self {
            Self::SignedOut { leads_on: true } => {
                Redirect::to("/dashboard/sign-in").into_response()
            }
            // htmx loads the whole page anew, which leads to the form.
            Self::SignedOut { leads_on: false } => (
                StatusCode::UNAUTHORIZED,
                [(HeaderName::from_static("hx-refresh"), "true")],
            )
                .into_response(),
            Self::Told {
                status,
                message,
                remedy,
            } => {
                let told = html! {
                    h1 { "This cannot be shown" }
                    p { (message) "." }
                    p { "What to do: " (remedy) "." }
                    p { a href="/dashboard" { "All rounds" } }
                };
                let page = Html(layout::bare("Not shown", &told));
                let mut response = (status, page).into_response();
                if status == StatusCode::TOO_MANY_REQUESTS
                    || status == StatusCode::SERVICE_UNAVAILABLE
                {
                    let wait = HeaderValue::from_static("60");
                    response.headers_mut().insert(header::RETRY_AFTER, wait);
                }
                response
            }
        }
    }
}
