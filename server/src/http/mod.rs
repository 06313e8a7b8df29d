//! The HTTP interface.

mod access;
mod clients;
mod limits;
mod message;
mod openapi;
mod problem;
mod results;
mod rounds;
mod service;
mod submissions;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tower_http::trace::TraceLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::AppState;

/// The whole HTTP interface over a state; it starts nothing and listens nowhere.
pub fn app(state: AppState) -> Router {
    let (router, _) = documented().split_for_parts();
    router
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(from_fn_with_state(state.clone(), limits::bound))
        .layer(TraceLayer::new_for_http())
        .with_state(state)
}

/// Every route with its description; what is not listed here does not exist.
fn documented() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(service::health))
        .routes(routes!(service::document))
        .routes(routes!(clients::register))
        .routes(routes!(rounds::list, rounds::open))
        .routes(routes!(rounds::spec))
        .routes(routes!(rounds::status))
        .routes(routes!(rounds::close))
        .routes(routes!(rounds::cancel))
        .routes(routes!(submissions::submit, submissions::receipt))
        .routes(routes!(results::results))
        .routes(routes!(results::synthetic))
        .routes(routes!(results::model))
}
