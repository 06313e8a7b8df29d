//! Rounds: their plans, states and results.

use promptfed_prompts::protocol::{RoundId, RoundResults, RoundSpec, RoundState, RoundStatus};
use rusqlite::{OptionalExtension, Row, params};

use super::{Store, now};
use crate::Result;

const STATUS: &str =
    "SELECT r.id, r.name, r.state, r.reason, r.expected_clients, r.opened_at, r.closed_at,
    r.finished_at, r.submitted FROM rounds r";

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
    /// Opens a round.
    pub(crate) fn open_round(&self, spec: &RoundSpec) -> Result<RoundStatus> {
        let connection = self.lock();
        let text = serde_json::to_string(spec)?;
        let sql = "INSERT INTO rounds (name, spec, state, expected_clients, opened_at)
            VALUES (?1, ?2, 'open', ?3, ?4)";
        connection.execute(sql, params![spec.name, text, spec.expected_clients, now()])?;
        let id = connection.last_insert_rowid();
        let sql = format!("{STATUS} WHERE r.id = ?1");
        Ok(connection.query_row(&sql, [id], status_of)?)
    }

    /// The plan of a round.
    pub(crate) fn round_spec(&self, round: RoundId) -> Result<Option<RoundSpec>> {
        Ok(self
            .round_text(round, "spec")?
            .map(|text| serde_json::from_str(&text))
            .transpose()?)
    }

    /// The results of a round that is done.
    pub(crate) fn results(&self, round: RoundId) -> Result<Option<RoundResults>> {
        Ok(self
            .round_text(round, "results")?
            .map(|text| serde_json::from_str(&text))
            .transpose()?)
    }

    /// Where a round stands; one that a job works on is `queued` here.
    pub(crate) fn status(&self, round: RoundId) -> Result<Option<RoundStatus>> {
        let connection = self.lock();
        let sql = format!("{STATUS} WHERE r.id = ?1");
        Ok(connection
            .query_row(&sql, [round.get()], status_of)
            .optional()?)
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
        self.change(round, sql, |state| {
            !matches!(state, RoundState::Open | RoundState::Cancelled)
        })
    }

    /// Ends a round without results.
    pub(crate) fn cancel(&self, round: RoundId) -> Result<Change> {
        let sql = "UPDATE rounds SET state = 'cancelled', finished_at = ?2
            WHERE id = ?1 AND state IN ('open', 'queued')";
        self.change(round, sql, |state| matches!(state, RoundState::Cancelled))
    }

    /// The round that was closed first and has no final state yet.
    pub(crate) fn next_queued(&self) -> Result<Option<RoundId>> {
        let sql = "SELECT id FROM rounds WHERE state = 'queued' ORDER BY closed_at, id LIMIT 1";
        let id = self
            .lock()
            .query_row(sql, [], |row| row.get(0))
            .optional()?;
        Ok(id.map(RoundId::new))
    }

    /// Records results; a round that was cancelled meanwhile stays cancelled.
    pub(crate) fn finish(&self, round: RoundId, results: &RoundResults) -> Result<()> {
        let sql = "UPDATE rounds SET state = 'done', results = ?2, finished_at = ?3
            WHERE id = ?1 AND state = 'queued'";
        self.lock().execute(
            sql,
            params![round.get(), serde_json::to_string(results)?, now()],
        )?;
        Ok(())
    }

    /// Records why a job ended early; a round that was cancelled meanwhile stays cancelled.
    pub(crate) fn fail(&self, round: RoundId, reason: &str) -> Result<()> {
        let sql = "UPDATE rounds SET state = 'failed', reason = ?2, finished_at = ?3
            WHERE id = ?1 AND state = 'queued'";
        self.lock()
            .execute(sql, params![round.get(), reason, now()])?;
        Ok(())
    }

    fn change(
        &self,
        round: RoundId,
        update: &str,
        reached: fn(&RoundState) -> bool,
    ) -> Result<Change> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        transaction.execute(update, params![round.get(), now()])?;
        let sql = format!("{STATUS} WHERE r.id = ?1");
        let status = transaction
            .query_row(&sql, [round.get()], status_of)
            .optional()?;
        transaction.commit()?;
        Ok(match status {
            Some(status) if reached(&status.state) => Change::Done(status),
            Some(status) => Change::WrongState(status),
            None => Change::NoRound,
        })
    }

    fn round_text(&self, round: RoundId, column: &'static str) -> Result<Option<String>> {
        let sql = format!("SELECT {column} FROM rounds WHERE id = ?1");
        let text = self
            .lock()
            .query_row(&sql, [round.get()], |row| row.get(0))
            .optional()?;
        Ok(text.flatten())
    }
}

fn status_of(row: &Row<'_>) -> rusqlite::Result<RoundStatus> {
    let state: String = row.get(2)?;
    Ok(RoundStatus {
        round_id: RoundId::new(row.get(0)?),
        name: row.get(1)?,
        state: match state.as_str() {
            "open" => RoundState::Open,
            "queued" => RoundState::Queued,
            "done" => RoundState::Done,
            "cancelled" => RoundState::Cancelled,
            _ => RoundState::Failed {
                reason: row.get::<_, Option<String>>(3)?.unwrap_or_default(),
            },
        },
        expected_clients: row.get(4)?,
        opened_at: row.get(5)?,
        closed_at: row.get(6)?,
        finished_at: row.get(7)?,
        submissions: row.get(8)?,
        warnings: Vec::new(),
    })
}
