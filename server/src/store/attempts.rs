//! Attempts at a round's job. Each is written down before work begins and again at its orderly end, so that a job that ends the server, as by memory
//! that is refused, is known as such when the server is back.

use promptfed_prompts::protocol::{FailureKind, RoundId, RoundResults, RoundState};
use rusqlite::{OptionalExtension, params};

use super::events::note;
use super::{Change, Store, now};
use crate::Result;

/// How often in a row a job may end the server before it is set aside.
const MOST_UNFINISHED: u32 = 5;

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
    /// Writes down that work on a queued round begins.
    pub(crate) fn begin_attempt(&self, round: RoundId) -> Result<Begun> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let sql = "SELECT attempts, unfinished FROM rounds WHERE id = ?1 AND state = 'queued'";
        let found: Option<(u32, u32)> = transaction
            .query_row(sql, [round.get()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let begun = match found {
            None => return Ok(Begun::NotQueued),
            Some((_, unfinished)) if unfinished >= MOST_UNFINISHED => {
                let reason = format!(
                    "its job ended the server {unfinished} times in a row and was set aside; perhaps memory does not suffice: `promptfed round retry {round}` \
                     tries again"
                );
                let sql = "UPDATE rounds SET state = 'failed', failure = 'poison', reason = ?2,
                    finished_at = ?3, unfinished = 0 WHERE id = ?1";
                transaction.execute(sql, params![round.get(), reason, now()])?;
                note(&transaction, round, &reason)?;
                Begun::SetAside
            }
            Some((attempts, _)) => {
                let sql = "UPDATE rounds SET attempts = attempts + 1, unfinished = unfinished + 1
                    WHERE id = ?1";
                transaction.execute(sql, [round.get()])?;
                let attempt = attempts.saturating_add(1);
                note(&transaction, round, &format!("attempt {attempt} began"))?;
                Begun::Attempt(attempt)
            }
        };
        transaction.commit()?;
        Ok(begun)
    }

    /// Writes down that the attempt in work has come further than any before: what ended the server earlier was passed.
    pub(crate) fn progressed(&self, round: RoundId) -> Result<()> {
        let sql = "UPDATE rounds SET unfinished = 1 WHERE id = ?1 AND unfinished > 1";
        self.lock().execute(sql, [round.get()])?;
        Ok(())
    }

    /// Writes down how an attempt ended; a round that was cancelled meanwhile stays cancelled.
    pub(crate) fn end_attempt(&self, round: RoundId, ended: &Ended<'_>) -> Result<()> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let id = round.get();
        transaction.execute("UPDATE rounds SET unfinished = 0 WHERE id = ?1", [id])?;
        let fail = "UPDATE rounds SET state = 'failed', failure = ?2, reason = ?3, finished_at = ?4
            WHERE id = ?1 AND state = 'queued'";
        let (changed, told) = match ended {
            Ended::Stopped => (1, "the attempt was interrupted".to_owned()),
            Ended::Done(results) => {
                let sql = "UPDATE rounds SET state = 'done', results = ?2, finished_at = ?3
                    WHERE id = ?1 AND state = 'queued'";
                let text = serde_json::to_string(results)?;
                let changed = transaction.execute(sql, params![id, text, now()])?;
                (changed, "done".to_owned())
            }
            Ended::Failed(kind, reason) => {
                let kind = name(*kind);
                let changed = transaction.execute(fail, params![id, kind, reason, now()])?;
                (changed, format!("failed ({kind}): {reason}"))
            }
            Ended::Paused(reason) => {
                let changed =
                    transaction.execute(fail, params![id, PAUSED, reason, None::<u64>])?;
                (changed, format!("paused: {reason}"))
            }
        };
        if changed > 0 && super::events::exists(&transaction, round)? {
            note(&transaction, round, &told)?;
        }
        transaction.commit()?;
        Ok(())
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
        let round = RoundId::new(1);
        for attempt in 1..=5 {
            let begun = store.begin_attempt(round).unwrap();
            assert_eq!(begun, Begun::Attempt(attempt));
        }
        store.progressed(round).unwrap();
        // The fifth counts, as the first of five.
        for attempt in 6..=9 {
            let begun = store.begin_attempt(round).unwrap();
            assert_eq!(begun, Begun::Attempt(attempt));
        }
        assert_eq!(store.begin_attempt(round).unwrap(), Begun::SetAside);
        assert_eq!(store.begin_attempt(round).unwrap(), Begun::NotQueued);
    }
}
