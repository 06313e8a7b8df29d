//! Who may see what of a finished round.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use promptfed_prompts::protocol::{ClientId, ProblemCode, RoundId, RoundResults};

use super::access::{Caller, Member};
use super::problem::{Answer, Refusal};
use crate::state::AppState;

/// The administrator, who sees everything, or a client, which sees results of rounds that it took part in and of the prompt sets its own: small
/// prompt sets can be guessed from their hashes.
#[derive(Clone, Copy)]
pub(super) struct Viewer(Option<ClientId>);

impl FromRequestParts<AppState> for Viewer {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Answer<Self> {
        Member::from_request_parts(parts, state).await?;
        Ok(Self(match parts.extensions.get() {
            Some(Caller::Client(client)) => Some(*client),
            _ => None,
        }))
    }
}

impl Viewer {
    /// Refuses a client that has submitted nothing to the round, unless the round's plan gives results to all.
    pub(super) async fn check(self, state: &AppState, round: RoundId) -> Answer<()> {
        let Some(client) = self.0 else {
            return Ok(());
        };
        let may_see = state.store(move |store| {
            let took_part = store.took_part(round, client)?;
            Ok(took_part
                || store
                    .round_spec(round)?
                    .is_some_and(|spec| spec.open_results))
        });
        if may_see.await? {
            return Ok(());
        }
        Err(Refusal::new(
            StatusCode::FORBIDDEN,
            ProblemCode::Forbidden,
            format!(
                "this client has submitted nothing to round {round}, whose results are for those that did"
            ),
            "ask the operator for the model",
        ))
    }

    /// Leaves of the submitted sets only the client's own.
    pub(super) async fn keep_own(
        self,
        state: &AppState,
        round: RoundId,
        results: &mut RoundResults,
    ) -> Answer<()> {
        let Some(client) = self.0 else {
            return Ok(());
        };
        let receipt = state
            .store(move |store| store.receipt(round, client))
            .await?;
        let own = receipt.map(|receipt| receipt.hash);
        // Another client may have sent the same.
        let own = results
            .prompt_sets
            .iter()
            .find(|set| Some(set.hash) == own)
            .cloned();
        results.prompt_sets = own.into_iter().collect();
        Ok(())
    }
}
