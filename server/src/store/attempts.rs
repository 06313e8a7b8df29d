//! Attempts at a round's job. Each is written down before work begins and again at its orderly end, so that a job that ends the server, as by memory
//! that is refused, is known as such when the server is back.

use promptfed_prompts::protocol::{FailureKind, RoundId, RoundResults, RoundState};
use rusqlite::{Connection, OptionalExtension, params};

use super::events::note;
use super::{Change, Store, now};
use crate::Result;

/// How often in a row a job may end the server before it is set aside.
const MOST_UNFINISHED: u32 = 5;

/// What the job runner works on: a training of a round's images, of which the first begins with making them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) round: RoundId,
    /// 1 for the round's own.
    pub(crate) training: u32,
}

impl Work {
    /// A round's own job.
    pub(crate) const fn of_round(round: RoundId) -> Self {
        Self { round, training: 1 }
    }

    /// Its table, and which row of it, by the parameters ?1 (the round) and ?2 (the training).
    fn place(self) -> (&'static str, &'static str) {
        match self.training {
            1 => ("rounds", "id = ?1 AND ?2 = 1"),
            _ => ("trainings", "round_id = ?1 AND number = ?2"),
        }
    }

    /// What happened to it, as the round's log has it.
    pub(super) fn told(self, what: &str) -> String {
        match self.training {
            1 => what.to_owned(),
            later => format!("training {later}: {what}"),
        }
    }

    /// The command that has it tried again.
    pub(crate) fn retry(self) -> String {
        match self.training {
            1 => format!("promptfed round retry {}", self.round),
            later => format!("promptfed round retry {} --training {later}", self.round),
        }
    }
}

/// What came of the wish to begin a job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// It may begin; it was begun so often with this time.
    Attempt(u32),
    /// It has ended the server too often and has failed for that.
    SetAside,
    /// The round is no longer queued.
    NotQueued,
}

/// How an attempt came to an end.
#[derive(Debug)]
pub(crate) enum Ended<'a> {
    /// It was interrupted and goes on another time, if the round is still queued.
    Stopped,
    /// There are results.
    Done(&'a RoundResults),
    /// It failed.
    Failed(FailureKind, String),
    /// It cannot go on as the server is.
    Paused(String),
}

impl Store {
    /// Writes down that work that is queued begins.
    pub(crate) fn begin_attempt(&self, work: Work) -> Result<Begun> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let (id, training) = (work.round.get(), work.training);
        let (table, row) = work.place();
        let sql =
            format!("SELECT attempts, unfinished FROM {table} WHERE {row} AND state = 'queued'");
        let found: Option<(u32, u32)> = transaction
            .query_row(&sql, [id, training], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let begun = match found {
            None => return Ok(Begun::NotQueued),
            Some((_, unfinished)) if unfinished >= MOST_UNFINISHED => {
                let reason = format!(
                    "its job ended the server {unfinished} times in a row and was set aside; perhaps memory does not suffice: `{}` tries again",
                    work.retry()
                );
                let sql = format!(
                    "UPDATE {table} SET state = 'failed', failure = 'poison', reason = ?3,
                    finished_at = ?4, unfinished = 0 WHERE {row}"
                );
                transaction.execute(&sql, params![id, training, reason, now()])?;
                note(&transaction, work.round, &work.told(&reason))?;
                Begun::SetAside
            }
            Some((attempts, _)) => {
                let sql = format!(
                    "UPDATE {table} SET attempts = attempts + 1, unfinished = unfinished + 1
                    WHERE {row}"
                );
                transaction.execute(&sql, [id, training])?;
                let attempt = attempts.saturating_add(1);
                let told = work.told(&format!("attempt {attempt} began"));
                note(&transaction, work.round, &told)?;
                Begun::Attempt(attempt)
            }
        };
        transaction.commit()?;
        Ok(begun)
    }

    /// Writes down that the attempt in work has come further than any before: what ended the server earlier was passed.
    pub(crate) fn progressed(&self, work: Work) -> Result<()> {
        let (table, row) = work.place();
        let sql = format!("UPDATE {table} SET unfinished = 1 WHERE {row} AND unfinished > 1");
        self.lock()
            .execute(&sql, [work.round.get(), work.training])?;
        Ok(())
    }

    /// Writes down how an attempt ended; what was cancelled meanwhile stays cancelled.
    pub(crate) fn end_attempt(&self, work: Work, ended: &Ended<'_>) -> Result<()> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let (id, training) = (work.round.get(), work.training);
        let (table, row) = work.place();
        let sql = format!("UPDATE {table} SET unfinished = 0 WHERE {row}");
        transaction.execute(&sql, [id, training])?;
        let fail = format!(
            "UPDATE {table} SET state = 'failed', failure = ?3, reason = ?4, finished_at = ?5
            WHERE {row} AND state = 'queued'"
        );
        let (changed, told) = match ended {
            Ended::Stopped => (1, "the attempt was interrupted".to_owned()),
            Ended::Done(results) => {
                let sql = format!(
                    "UPDATE {table} SET state = 'done', results = ?3, finished_at = ?4
                    WHERE {row} AND state = 'queued'"
                );
                let text = serde_json::to_string(results)?;
                let changed = transaction.execute(&sql, params![id, training, text, now()])?;
                let is_published = changed > 0 && publish_as_asked(&transaction, work)?;
                let also = if is_published { " and published" } else { "" };
                (changed, format!("done{also}, model {}", results.model.hash))
            }
            Ended::Failed(kind, reason) => {
                let kind = name(*kind);
                let values = params![id, training, kind, reason, now()];
                let changed = transaction.execute(&fail, values)?;
                (changed, format!("failed ({kind}): {reason}"))
            }
            Ended::Paused(reason) => {
                let values = params![id, training, PAUSED, reason, None::<u64>];
                let changed = transaction.execute(&fail, values)?;
                (changed, format!("paused: {reason}"))
            }
        };
        if changed > 0 && super::events::exists(&transaction, work.round)? {
            note(&transaction, work.round, &work.told(&told))?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// What was queued first: rounds, for which clients wait, before later trainings.
    pub(crate) fn next_queued(&self) -> Result<Option<Work>> {
        let sql = "SELECT round, training FROM (
                SELECT id AS round, 1 AS training, 0 AS later, closed_at AS at
                    FROM rounds WHERE state = 'queued'
                UNION ALL
                SELECT round_id, number, 1, asked_at FROM trainings WHERE state = 'queued'
            ) ORDER BY later, at, round, training LIMIT 1";
        let connection = self.lock();
        let found = connection.query_row(sql, [], |row| {
            Ok(Work {
                round: RoundId::new(row.get(0)?),
                training: row.get(1)?,
            })
        });
        Ok(found.optional()?)
    }

    /// Has the job of a round that failed or is paused tried again; needs a submission.
    pub(crate) fn retry(&self, round: RoundId) -> Result<Change> {
        let sql = "UPDATE rounds SET state = 'queued', failure = NULL, reason = NULL,
            finished_at = NULL, unfinished = 0, closed_at = coalesce(closed_at, ?2)
            WHERE id = ?1 AND state = 'failed' AND submitted > 0";
        self.change(round, sql, "tried again", |state| {
            matches!(state, RoundState::Queued)
        })
    }
}

/// Makes the model of a training that is done the one that clients get, where that was asked for; says whether it was.
fn publish_as_asked(connection: &Connection, work: Work) -> Result<bool> {
    let sql = "UPDATE rounds SET published = ?2 WHERE id = ?1
        AND EXISTS (SELECT 1 FROM trainings WHERE round_id = ?1 AND number = ?2 AND publish)";
    Ok(connection.execute(sql, [work.round.get(), work.training])? > 0)
}

/// What stands in the database for a round that waits for an operator.
pub(super) const PAUSED: &str = "paused";

/// What stands in the database for a kind of failure.
fn name(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Transient => "transient",
        FailureKind::Poison => "poison",
        _ => "final",
    }
}

/// What a name in the database says.
pub(super) fn kind(name: &str) -> FailureKind {
    match name {
        "transient" => FailureKind::Transient,
        "poison" => FailureKind::Poison,
        _ => FailureKind::Final,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_without_an_end_are_counted_until_one_comes_further() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("server.sqlite")).unwrap();
        let sql =
            "INSERT INTO rounds (name, spec, state, opened_at) VALUES ('r', '{}', 'queued', 1)";
        store.lock().execute(sql, []).unwrap();
        let work = Work::of_round(RoundId::new(1));
        for attempt in 1..=5 {
            let begun = store.begin_attempt(work).unwrap();
            assert_eq!(begun, Begun::Attempt(attempt));
        }
        store.progressed(work).unwrap();
        // The fifth counts, as the first of five.
        for attempt in 6..=9 {
            let begun = store.begin_attempt(work).unwrap();
            assert_eq!(begun, Begun::Attempt(attempt));
        }
        assert_eq!(store.begin_attempt(work).unwrap(), Begun::SetAside);
        assert_eq!(store.begin_attempt(work).unwrap(), Begun::NotQueued);
    }
}
