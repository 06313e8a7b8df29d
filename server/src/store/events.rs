//! What happened to a round, for its operator.

use promptfed_prompts::protocol::{RoundEvent, RoundId};
use rusqlite::{Connection, params};

use super::{Store, now};
use crate::Result;

/// How many events of a round are kept at least, the latest: of submissions, and of all else, so that neither displaces the other.
const KEPT: u32 = 5000;
/// How often what is more is removed, in events of the server.
const REMOVED_EACH: i64 = 100;

impl Store {
    /// What happened to a round, the earliest first; nothing where there is no such round.
    pub(crate) fn events(&self, round: RoundId) -> Result<Option<Vec<RoundEvent>>> {
        let connection = self.lock();
        if !exists(&connection, round)? {
            return Ok(None);
        }
        let sql = "SELECT at, text FROM events WHERE round_id = ?1 ORDER BY id";
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map([round.get()], |row| {
            Ok(RoundEvent {
                at: row.get(0)?,
                text: row.get(1)?,
            })
        })?;
        Ok(Some(rows.collect::<rusqlite::Result<_>>()?))
    }

    /// Writes down what happened; a round that is gone is passed over.
    pub(crate) fn note(&self, round: RoundId, text: &str) -> Result<()> {
        let connection = self.lock();
        if exists(&connection, round)? {
            note(&connection, round, text)?;
        }
        Ok(())
    }
}

pub(super) fn exists(connection: &Connection, round: RoundId) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM rounds WHERE id = ?1)";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row([round.get()], |row| row.get(0))?)
}

pub(super) fn note(connection: &Connection, round: RoundId, text: &str) -> Result<()> {
    insert(connection, round, text, false)
}

/// Writes down that a client has submitted, which it can do as often as it likes.
pub(super) fn note_submission(connection: &Connection, round: RoundId, text: &str) -> Result<()> {
    insert(connection, round, text, true)
}

fn insert(connection: &Connection, round: RoundId, text: &str, is_submission: bool) -> Result<()> {
    let sql = "INSERT INTO events (round_id, at, text, is_submission) VALUES (?1, ?2, ?3, ?4)";
    let mut statement = connection.prepare_cached(sql)?;
    statement.execute(params![round.get(), now(), text, is_submission])?;
    if connection.last_insert_rowid() % REMOVED_EACH == 0 {
        let sql = "DELETE FROM events WHERE round_id = ?1 AND is_submission = ?2 AND id <=
            (SELECT id FROM events WHERE round_id = ?1 AND is_submission = ?2
                ORDER BY id DESC LIMIT 1 OFFSET ?3)";
        let mut statement = connection.prepare_cached(sql)?;
        statement.execute(params![round.get(), is_submission, KEPT])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema;

    #[test]
    fn submissions_displace_nothing_else() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::prepare(&mut connection).unwrap();
        let sql = "INSERT INTO rounds (name, spec, state, opened_at) VALUES ('r', '{}', 'open', 1)";
        connection.execute(sql, []).unwrap();
        let round = RoundId::new(1);
        note(&connection, round, "opened").unwrap();
        // The last one has the number 5,200.
        for number in 2..=5200 {
            note_submission(&connection, round, &format!("submission {number}")).unwrap();
        }
        let texts: Vec<String> = connection
            .prepare("SELECT text FROM events ORDER BY id")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<rusqlite::Result<_>>()
            .unwrap();
        assert_eq!(texts.len(), 1 + 5000);
        assert_eq!(texts[0], "opened");
        assert_eq!(texts[1], "submission 201");
        assert_eq!(texts[5000], "submission 5200");
    }
}
