//! Prompt sets that their clients take back.

use promptfed_prompts::protocol::{
    ClientId, RoundId, RoundSpec, RoundState, RoundStatus, SubmissionReceipt,
};
use rusqlite::TransactionBehavior;

use super::Store;
use super::events::note_submission;
use super::members::forget_pieces;
use super::rounds::read_status;
use super::submissions::receipt;
use crate::Result;

/// What came of a client's wish to take its prompt set back.
#[derive(Debug)]
pub(crate) enum Withdrawn {
    /// The round has nothing of the client; this is what was removed.
    Done(Option<SubmissionReceipt>),
    /// The round is not open, and nothing was removed.
    WrongState(RoundStatus),
    /// There is no such round.
    NoRound,
}

impl Store {
    /// Removes a client's prompt set from a round that is open. Where there is none, nothing changes.
    pub(crate) fn withdraw(
        &self,
        round: RoundId,
        client: ClientId,
        spec: &RoundSpec,
    ) -> Result<Withdrawn> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let Some(status) = read_status(&transaction, round)? else {
            return Ok(Withdrawn::NoRound);
        };
        if status.state != RoundState::Open {
            return Ok(Withdrawn::WrongState(status));
        }
        let removed = receipt(&transaction, round, client)?;
        if let Some(receipt) = &removed {
            let seal = self.seal_if_kept(&transaction, round)?;
            forget_pieces(&transaction, round, client, spec, seal.as_ref())?;
            // Its templates go with it (ON DELETE CASCADE), and a trigger counts it out of the round.
            let sql = "DELETE FROM submissions WHERE round_id = ?1 AND client_id = ?2";
            transaction.execute(sql, [round.get(), client.get()])?;
            let told = format!("client {client} withdrew its {} prompts", receipt.prompts);
            note_submission(&transaction, round, &told)?;
        }
        transaction.commit()?;
        Ok(Withdrawn::Done(removed))
    }
}
