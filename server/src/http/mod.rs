//! The HTTP interface.

mod access;
mod arrival;
mod clients;
mod decoding;
mod enrolment;
mod file_body;
mod limits;
mod load;
mod members;
mod message;
mod openapi;
mod operation;
mod pace;
mod problem;
mod results;
mod round_images;
mod rounds;
mod sealing;
mod service;
mod submissions;
mod trainings;
mod viewer;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tower_http::trace::TraceLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use self::decoding::Decoders;
pub(crate) use self::load::Load;
pub(crate) use self::operation::LastCheck;
pub(crate) use self::problem::Refusal;
pub(crate) use self::rounds::{live, queued, told};
use crate::dashboard;
use crate::state::AppState;

/// The whole HTTP interface over a state; it starts nothing and listens nowhere.
pub fn app(state: AppState) -> Router {
    let (router, _) = documented().split_for_parts();
    router
        .merge(dashboard::routes())
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(from_fn_with_state(state.clone(), limits::bound))
        .layer(from_fn_with_state(state.clone(), operation::count))
        .layer(TraceLayer::new_for_http())
        .with_state(state)
}

/// The OpenAPI document of the interface, as the server gives it at `/openapi.json`.
pub fn api_document() -> &'static str {
    &openapi::DOCUMENT
}

/// Every route for programs with its description; what is neither listed here nor a page of the dashboard does not exist.
fn documented() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(service::health))
        .routes(routes!(service::document))
        .routes(routes!(operation::ready))
        .routes(routes!(operation::metrics))
        .routes(routes!(clients::register, clients::list))
        .routes(routes!(clients::register_all))
        .routes(routes!(clients::revoke))
        .routes(routes!(enrolment::enrol))
        .routes(routes!(rounds::list, rounds::open))
        .routes(routes!(rounds::spec, rounds::delete))
        .routes(routes!(rounds::status))
        .routes(routes!(rounds::close))
        .routes(routes!(rounds::cancel))
        .routes(routes!(rounds::retry))
        .routes(routes!(rounds::log))
        .routes(routes!(members::list))
        .routes(routes!(members::exclude, members::include))
        .routes(routes!(sealing::sealing))
        .routes(routes!(
            submissions::submit,
            submissions::receipt,
            submissions::withdraw
        ))
        .routes(routes!(results::results))
        .routes(routes!(results::synthetic))
        .routes(routes!(results::model))
        .routes(routes!(round_images::list))
        .routes(routes!(round_images::file))
        .routes(routes!(round_images::drop_images))
        .routes(routes!(trainings::ask, trainings::list))
        .routes(routes!(trainings::results))
        .routes(routes!(trainings::model))
        .routes(routes!(trainings::publish))
        .routes(routes!(trainings::cancel))
        .routes(routes!(trainings::retry))
}
