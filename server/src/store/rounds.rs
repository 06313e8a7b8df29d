//! Rounds: their plans, states and results.

use promptfed_prompts::protocol::{RoundId, RoundResults, RoundSpec, RoundState, RoundStatus};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::attempts::{PAUSED, kind};
use super::events::note;
use super::{Store, now};
use crate::Result;

const STATUS: &str =
    "SELECT r.id, r.name, r.state, r.reason, r.expected_clients, r.opened_at, r.closed_at,
    r.finished_at, r.submitted, r.attempts, r.failure FROM rounds r";

/// What became of a wish to change a round's state.
#[derive(Debug)]
pub(crate) enum Change {
    /// The round is in the wished state, now or since before.
    Done(RoundStatus),
    /// Its state does not allow the change.
    WrongState(RoundStatus),
    /// There is no such round.
    NoRound,
}

impl Store {
    /// Opens a round, with a new key pair.
    pub(crate) fn open_round(&self, spec: &RoundSpec) -> Result<RoundStatus> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let text = serde_json::to_string(spec)?;
        let sql = "INSERT INTO rounds (name, spec, state, expected_clients, opened_at)
            VALUES (?1, ?2, 'open', ?3, ?4)";
        transaction.execute(sql, params![spec.name, text, spec.expected_clients, now()])?;
        let id = transaction.last_insert_rowid();
        let sql = format!("{STATUS} WHERE r.id = ?1");
        let status = transaction.query_row(&sql, [id], status_of)?;
        // Before the round is there: it is never without its key.
        let key = self.keys.make(status.round_id)?;
        let sql = "UPDATE rounds SET sealing_key = ?2 WHERE id = ?1";
        transaction.execute(sql, params![id, key.as_bytes()])?;
        note(&transaction, status.round_id, "opened")?;
        transaction.commit()?;
        Ok(status)
    }

    /// The plan of a round.
    pub(crate) fn round_spec(&self, round: RoundId) -> Result<Option<RoundSpec>> {
        let sql = "SELECT spec FROM rounds WHERE id = ?1";
        let text: Option<String> = self
            .read()
            .query_row(sql, [round.get()], |row| row.get(0))
            .optional()?;
        Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
    }

    /// The results of a round that is done: of the training whose model clients get.
    pub(crate) fn results(&self, round: RoundId) -> Result<Option<RoundResults>> {
        let sql = "SELECT coalesce((SELECT t.results FROM trainings t
                WHERE t.round_id = r.id AND t.number = r.published), r.results)
            FROM rounds r WHERE r.id = ?1";
        let connection = self.read();
        let mut statement = connection.prepare_cached(sql)?;
        let text: Option<Option<String>> = statement
            .query_row([round.get()], |row| row.get(0))
            .optional()?;
        let results = text.flatten().map(|text| serde_json::from_str(&text));
        Ok(results.transpose()?)
    }

    /// Where a round stands; one that a job works on is `queued` here.
    pub(crate) fn status(&self, round: RoundId) -> Result<Option<RoundStatus>> {
        read_status(&self.read(), round)
    }

    /// All rounds, the newest first.
    pub(crate) fn statuses(&self) -> Result<Vec<RoundStatus>> {
        let connection = self.lock();
        let mut statement = connection.prepare(&format!("{STATUS} ORDER BY r.id DESC"))?;
        let rows = statement.query_map([], status_of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Ends the time for submissions; needs at least one.
    pub(crate) fn close(&self, round: RoundId) -> Result<Change> {
        let sql =
            "UPDATE rounds SET state = 'queued', closed_at = ?2 WHERE id = ?1 AND state = 'open'
            AND submitted > 0";
        self.change(round, sql, "closed by the administrator", |state| {
            !matches!(
                state,
                RoundState::Open
                    | RoundState::Cancelled
                    | RoundState::Failed { .. }
                    | RoundState::Paused { .. }
            )
        })
    }

    /// Ends a round without results.
    pub(crate) fn cancel(&self, round: RoundId) -> Result<Change> {
        let sql = "UPDATE rounds SET state = 'cancelled', failure = NULL, finished_at = ?2
            WHERE id = ?1 AND (state IN ('open', 'queued') OR failure = 'paused')";
        self.change(round, sql, "cancelled", |state| {
            matches!(state, RoundState::Cancelled)
        })
    }

    /// How many rounds there are in each state.
    pub(crate) fn states(&self) -> Result<Vec<(String, u64)>> {
        let connection = self.lock();
        let sql = "SELECT iif(failure = 'paused', failure, state), count(*) FROM rounds GROUP BY 1";
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Changes a round's state by `update`, whose parameters are the round and the time, and writes `told` down where it did.
    pub(super) fn change(
        &self,
        round: RoundId,
        update: &str,
        told: &str,
        reached: fn(&RoundState) -> bool,
    ) -> Result<Change> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        if transaction.execute(update, params![round.get(), now()])? > 0 {
            note(&transaction, round, told)?;
        }
        let status = read_status(&transaction, round)?;
        transaction.commit()?;
        Ok(match status {
            Some(status) if reached(&status.state) => Change::Done(status),
            Some(status) => Change::WrongState(status),
            None => Change::NoRound,
        })
    }
}

pub(super) fn read_status(connection: &Connection, round: RoundId) -> Result<Option<RoundStatus>> {
    let sql = format!("{STATUS} WHERE r.id = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_row([round.get()], status_of).optional()?)
}

fn status_of(row: &Row<'_>) -> rusqlite::Result<RoundStatus> {
    let state: String = row.get(2)?;
    let failure: Option<String> = row.get(10)?;
    // Rounds that failed before kinds were told of had failed for good.
    let failure = (state == "failed").then(|| failure.unwrap_or_default());
    Ok(RoundStatus {
        round_id: RoundId::new(row.get(0)?),
        name: row.get(1)?,
        state: state_of(&state, failure.as_deref(), row.get(3)?),
        expected_clients: row.get(4)?,
        opened_at: row.get(5)?,
        closed_at: row.get(6)?,
        finished_at: row.get(7)?,
        submissions: row.get(8)?,
        warnings: Vec::new(),
        attempts: row.get(9)?,
        failure: failure.filter(|name| name != PAUSED).as_deref().map(kind),
    })
}

/// A state as the database has it, of a round or of a training.
pub(super) fn state_of(state: &str, failure: Option<&str>, reason: Option<String>) -> RoundState {
    let reason = reason.unwrap_or_default();
    match state {
        "open" => RoundState::Open,
        "queued" => RoundState::Queued,
        "done" => RoundState::Done,
        "cancelled" => RoundState::Cancelled,
        _ if failure == Some(PAUSED) => RoundState::Paused { reason },
        _ => RoundState::Failed { reason },
    }
}
