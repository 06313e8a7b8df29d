//! Deleting a round so that no byte of its prompts stays in the database's files.

use std::path::PathBuf;
use std::time::Duration;

use promptfed_prompts::protocol::{DeletedRound, RoundId, RoundStatus};
use rusqlite::{Connection, params};

use super::Store;
use super::rounds::read_status;
use crate::Result;

/// How the names of chores begin that are left to do until the deleted is gone from the files too; each deletion has its own.
const CHORE: &str = "erase ";
/// How long the erasure waits for others each time: it comes again, and the server's end waits for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// What came of the wish to delete a round.
#[derive(Debug)]
pub(crate) enum Deleted {
    /// It is gone.
    Done(DeletedRound),
    /// Its job, or a later training, is queued or in work.
    InWork(RoundStatus),
    /// There is no such round.
    NoRound,
}

impl Store {
    /// Deletes a round of which no work is queued, with all that clients sent to it. Its bytes stay in the files until they are erased.
    pub(crate) fn delete_round(&self, round: RoundId) -> Result<Deleted> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let Some(status) = read_status(&transaction, round)? else {
            return Ok(Deleted::NoRound);
        };
        let sql = "SELECT state = 'queued' OR EXISTS
                (SELECT 1 FROM trainings WHERE round_id = rounds.id AND state = 'queued')
            FROM rounds WHERE id = ?1";
        if transaction.query_row(sql, [round.get()], |row| row.get(0))? {
            return Ok(Deleted::InWork(status));
        }
        for sql in [
            "DELETE FROM submissions WHERE round_id = ?1",
            "DELETE FROM rounds WHERE id = ?1",
        ] {
            transaction.execute(sql, params![round.get()])?;
        }
        let sql = "INSERT OR REPLACE INTO chores VALUES (?1)";
        transaction.execute(sql, [format!("{CHORE}{round}")])?;
        transaction.commit()?;
        Ok(Deleted::Done(DeletedRound {
            round_id: round,
            submissions: status.submissions,
        }))
    }

    /// Whether there is a round of this number.
    pub(crate) fn has_round(&self, round: RoundId) -> Result<bool> {
        super::events::exists(&self.read(), round)
    }

    /// Discards what lies in files under a round's number, unless there is such a round.
    pub(crate) fn unless_there(
        &self,
        round: RoundId,
        discard: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        // None is opened meanwhile: the key of one that is being opened lies there before the round does, and its number may be one of which a crash
        // left a key.
        let connection = self.lock();
        if super::events::exists(&connection, round)? {
            return Ok(());
        }
        discard()
    }

    /// How many deleted rounds may still have bytes in the database's files.
    pub(crate) fn left_to_erase(&self) -> Result<u64> {
        Ok(due(&self.read())?.len() as u64)
    }

    /// A connection of its own for [`Store::erase`], beside which the others work on.
    pub(crate) fn eraser(&self) -> Result<Connection> {
        let connection = Connection::open(&self.file)?;
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "secure_delete", true)?;
        Ok(connection)
    }

    /// Writes the database anew without what was deleted, empties its journal, and removes the copies from before changes of its tables. Says
    /// whether nothing is left to erase; something is while another program reads the database as it was.
    pub(crate) fn erase(&self, connection: &Connection) -> Result<bool> {
        let due = due(connection)?;
        if due.is_empty() {
            return Ok(true);
        }
        for copy in self.copies()? {
            fs_err::remove_file(copy)?;
        }
        // First of all, so that each attempt has an empty journal to write to.
        if !empty_journal(connection)? {
            return Ok(false);
        }
        connection.execute_batch("VACUUM")?;
        if !empty_journal(connection)? {
            return Ok(false);
        }
        for chore in &due {
            connection.execute("DELETE FROM chores WHERE name = ?1", [chore])?;
        }
        tracing::info!(
            rounds = due.len(),
            "deleted rounds are erased from the database's files"
        );
        Ok(true)
    }

    /// The database as it was before its tables were changed.
    fn copies(&self) -> Result<Vec<PathBuf>> {
        let (Some(folder), Some(name)) = (self.file.parent(), self.file.file_name()) else {
            return Ok(Vec::new());
        };
        let prefix = format!("{}.v", name.to_string_lossy());
        let mut copies = Vec::new();
        for entry in fs_err::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                copies.push(entry.path());
            }
        }
        Ok(copies)
    }
}

/// The chores of deletions.
fn due(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare_cached("SELECT name FROM chores WHERE name GLOB ?1")?;
    let names = statement.query_map([format!("{CHORE}*")], |row| row.get(0))?;
    Ok(names.collect::<rusqlite::Result<_>>()?)
}

/// Moves the journal's pages into the database and cuts it off; says whether nobody was in the way.
fn empty_journal(connection: &Connection) -> Result<bool> {
    let is_read: bool =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(!is_read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_round_that_is_there_are_not_discarded() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("server.sqlite")).unwrap();
        let sql = "INSERT INTO rounds (name, spec, state, opened_at) VALUES ('r', '{}', 'open', 1)";
        store.lock().execute(sql, []).unwrap();
        let is_discarded = |round| {
            let mut is_discarded = false;
            let discard = || {
                is_discarded = true;
                Ok(())
            };
            store.unless_there(RoundId::new(round), discard).unwrap();
            is_discarded
        };
        assert!(!is_discarded(1) && is_discarded(2));
    }

    #[test]
    fn what_is_deleted_meanwhile_is_left_to_erase() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("server.sqlite")).unwrap();
        let chore = |name: &str| {
            let sql = "INSERT INTO chores VALUES (?1)";
            store.lock().execute(sql, [name]).unwrap();
        };
        let connection = store.eraser().unwrap();
        assert!(store.erase(&connection).unwrap());
        chore("erase 3");
        chore("nothing");
        assert_eq!(store.left_to_erase().unwrap(), 1);
        // A reader of the database as it was keeps its pages.
        let reader = Connection::open(folder.path().join("server.sqlite")).unwrap();
        let read = reader.unchecked_transaction().unwrap();
        let count = |connection: &Connection| -> u32 {
            let sql = "SELECT count(*) FROM chores";
            connection.query_row(sql, [], |row| row.get(0)).unwrap()
        };
        assert_eq!(count(&read), 2);
        chore("erase 4");
        assert!(!store.erase(&connection).unwrap());
        assert_eq!(store.left_to_erase().unwrap(), 2);
        drop(read);
        assert!(store.erase(&connection).unwrap());
        assert_eq!(store.left_to_erase().unwrap(), 0);
        assert_eq!(count(&reader), 1);
    }
}
