//! Closing, cancelling and trying rounds again.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Redirect;
use promptfed_prompts::protocol::RoundId;

use super::fault::{Answer, Fault};
use super::sign_in::Nothing;
use super::visitor::Sent;
use crate::http::{queued, told};
use crate::role::Role;
use crate::state::AppState;
use crate::store::{Change, Work};

/// Does what a round's form asks for.
pub(super) async fn act(
    Path((round, action)): Path<(String, String)>,
    State(state): State<AppState>,
    sent: Sent<Nothing>,
) -> Answer<Redirect> {
    let (visitor, Nothing {}) = sent.of(Role::Operator)?;
    let round: RoundId = round.parse().map_err(|_| Fault::no_page())?;
    let change = match action.as_str() {
        "close" => queued(&state, move |store| store.close(round)).await?,
        "retry" => queued(&state, move |store| store.retry(round)).await?,
        "cancel" => {
            let change = state.store(move |store| store.cancel(round)).await?;
            if matches!(change, Change::Done(_)) {
                state.jobs.cancel(Work::of_round(round));
            }
            change
        }
        _ => return Err(Fault::no_page()),
    };
    match change {
        Change::Done(_) => {
            let role = visitor.role().name();
            tracing::info!(%round, action, role, "done from the dashboard");
            let note = format!("{action}: asked for from the dashboard as {role}");
            state.store(move |store| store.note(round, &note)).await?;
            Ok(Redirect::to(&format!("/dashboard/rounds/{round}")))
        }
        Change::WrongState(status) => Err(Fault::new(
            StatusCode::CONFLICT,
            told(&status),
            "look at the round again: its state may have changed, or it has no submission",
        )),
        Change::NoRound => Err(Fault::no_round(round)),
    }
}
