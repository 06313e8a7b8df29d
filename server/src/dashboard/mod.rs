//! The dashboard: pages for people, beside the interface for programs.
//!
//! Pages are rendered here and work without JavaScript; with it, htmx puts what has changed into the page that is open. No page has a script or a
//! style of its own, and none asks another server for anything.

mod access;
mod assets;
mod audit;
mod clients;
mod compare;
mod fault;
mod figures;
mod gallery;
mod layout;
mod live;
mod paging;
mod prompts;
mod results;
mod round;
mod round_actions;
mod round_parts;
mod rounds;
mod service;
mod sign_in;
mod sign_in_limit;
mod strip;
mod units;
mod visitor;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{get, post};
use tokio::sync::Semaphore;

use self::sign_in_limit::SignInLimit;
use crate::state::AppState;

/// Pages that are kept up to date at once.
const MOST_STREAMS: usize = 64;

/// Longest form, in bytes.
const MAX_FORM_BYTES: usize = 16 << 10;

/// What a browser may do with a page: take scripts, styles and pictures from here, send forms here, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// What is known of those who look, beside their sessions.
pub(crate) struct Visits {
    sign_ins: SignInLimit,
    streams: Arc<Semaphore>,
}

impl Default for Visits {
    fn default() -> Self {
        Self {
            sign_ins: SignInLimit::default(),
            streams: Arc::new(Semaphore::new(MOST_STREAMS)),
        }
    }
}

/// Every page, and what pages send.
pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/dashboard", get(rounds::list))
        .route(
            "/dashboard/sign-in",
            get(sign_in::form).post(sign_in::enter),
        )
        .route("/dashboard/sign-out", post(sign_in::leave))
        .route("/dashboard/assets/{name}", get(assets::asset))
        .route("/dashboard/rounds/{round}", get(round::show))
        .route("/dashboard/rounds/{round}/live", get(live::follow))
        .route(
            "/dashboard/rounds/{round}/{action}",
            post(round_actions::act),
        )
        .route("/dashboard/rounds/{round}/images", get(gallery::show))
        .route("/dashboard/rounds/{round}/image", get(gallery::lineage))
        .route(
            "/dashboard/rounds/{round}/image/drop",
            post(gallery::drop_image),
        )
        .route("/dashboard/rounds/{round}/picture", get(gallery::picture))
        .route("/dashboard/rounds/{round}/prompts", get(prompts::list))
        .route(
            "/dashboard/rounds/{round}/prompts/{client}",
            get(prompts::of_client),
        )
        .route("/dashboard/compare", get(compare::show))
        .route("/dashboard/clients", get(clients::list))
        .route("/dashboard/audit", get(audit::list))
        .route("/dashboard/server", get(service::show))
        .route("/dashboard/access", get(access::list).post(access::give))
        .route("/dashboard/access/end", post(access::end))
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        .layer(map_response(guarded))
}

/// What holds for every answer.
async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // A form tells by which scheme it came, which `no-referrer` would keep from it.
        (header::REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Nothing that was seen stays in the browser once it is signed out.
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}
