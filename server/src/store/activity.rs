//! What has happened in all rounds, and what each client has sent: for those who look on.

use promptfed_prompts::protocol::{ClientId, RoundEvent, RoundId};
use rusqlite::{OptionalExtension, Row, params};

use super::Store;
use crate::Result;

/// An event with its number, by which it is known for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NumberedEvent {
    /// Grows with every event of the server; none is given twice.
    pub(crate) number: u64,
    pub(crate) round: RoundId,
    pub(crate) event: RoundEvent,
}

/// A client and what it has sent to all rounds that are there.
pub(crate) struct ClientActivity {
    pub(crate) client: ClientId,
    pub(crate) name: String,
    /// When it was registered, and when its token was revoked; all times in milliseconds since 1970-01-01 UTC.
    pub(crate) registered_at: u64,
    pub(crate) revoked_at: Option<u64>,
    /// When its last prompt set came.
    pub(crate) last_submission: Option<u64>,
    /// Prompt sets that are there.
    pub(crate) submissions: u64,
    /// Their bytes as they crossed.
    pub(crate) bytes: u64,
}

impl Store {
    /// The latest events, of one round or of all, before the event of a number; the latest first.
    pub(crate) fn latest_events(
        &self,
        round: Option<RoundId>,
        before: Option<u64>,
        most: u32,
    ) -> Result<Vec<NumberedEvent>> {
        let connection = self.read();
        let before = before.unwrap_or(i64::MAX as u64).min(i64::MAX as u64);
        let sql = match round {
            Some(_) => {
                "SELECT id, round_id, at, text FROM events WHERE round_id = ?1 AND id < ?2
                    ORDER BY id DESC LIMIT ?3"
            }
            None => {
                "SELECT id, round_id, at, text FROM events WHERE ?1 IS NULL AND id < ?2
                    ORDER BY id DESC LIMIT ?3"
            }
        };
        let mut statement = connection.prepare_cached(sql)?;
        let values = params![round.map(RoundId::get), before, most];
        let rows = statement.query_map(values, numbered)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The events of a round after the one of a number, the earliest first.
    pub(crate) fn events_after(
        &self,
        round: RoundId,
        after: u64,
        most: u32,
    ) -> Result<Vec<NumberedEvent>> {
        let connection = self.read();
        let sql = "SELECT id, round_id, at, text FROM events WHERE round_id = ?1 AND id > ?2
            ORDER BY id LIMIT ?3";
        let mut statement = connection.prepare_cached(sql)?;
        let after = after.min(i64::MAX as u64);
        let rows = statement.query_map(params![round.get(), after, most], numbered)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Clients in the order of their registration, `most` of them after the first `skipped`.
    pub(crate) fn client_activity(&self, skipped: u64, most: u32) -> Result<Vec<ClientActivity>> {
        let connection = self.read();
        let sql = "SELECT c.id, c.name, c.registered_at, c.revoked_at,
                max(s.received_at), count(s.client_id), coalesce(sum(length(s.wire)), 0)
            FROM (SELECT id, name, registered_at, revoked_at FROM clients
                ORDER BY id LIMIT ?2 OFFSET ?1) c
            LEFT JOIN submissions s ON s.client_id = c.id GROUP BY c.id ORDER BY c.id";
        let mut statement = connection.prepare_cached(sql)?;
        let skipped = skipped.min(i64::MAX as u64);
        let rows = statement.query_map(params![skipped, most], |row| {
            Ok(ClientActivity {
                client: ClientId::new(row.get(0)?),
                name: row.get(1)?,
                registered_at: row.get(2)?,
                revoked_at: row.get(3)?,
                last_submission: row.get(4)?,
                submissions: row.get(5)?,
                bytes: row.get(6)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// What a client has sent to a round, as it crossed.
    pub(crate) fn wire(&self, round: RoundId, client: ClientId) -> Result<Option<Vec<u8>>> {
        let connection = self.read();
        let sql = "SELECT wire FROM submissions WHERE round_id = ?1 AND client_id = ?2";
        let mut statement = connection.prepare_cached(sql)?;
        Ok(statement
            .query_row([round.get(), client.get()], |row| row.get(0))
            .optional()?)
    }
}

fn numbered(row: &Row<'_>) -> rusqlite::Result<NumberedEvent> {
    Ok(NumberedEvent {
        number: row.get(0)?,
        round: RoundId::new(row.get(1)?),
        event: RoundEvent {
            at: row.get(2)?,
            text: row.get(3)?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_forwards_and_backwards_from_a_number() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("server.sqlite")).unwrap();
        for name in ["a", "b"] {
            let sql =
                "INSERT INTO rounds (name, spec, state, opened_at) VALUES (?1, '{}', 'open', 1)";
            store.lock().execute(sql, [name]).unwrap();
        }
        let (one, other) = (RoundId::new(1), RoundId::new(2));
        for i in 1..=6 {
            let round = if i % 2 == 1 { one } else { other };
            store.note(round, &format!("event {i}")).unwrap();
        }
        let numbers = |events: Vec<NumberedEvent>| -> Vec<u64> {
            events.iter().map(|event| event.number).collect()
        };
        let latest = |round, before| numbers(store.latest_events(round, before, 2).unwrap());
        assert_eq!(latest(None, None), [6, 5]);
        assert_eq!(latest(None, Some(5)), [4, 3]);
        assert_eq!(latest(Some(one), None), [5, 3]);
        assert_eq!(latest(Some(one), Some(3)), [1]);
        let after = |number| numbers(store.events_after(one, number, 2).unwrap());
        assert_eq!(after(0), [1, 3]);
        assert_eq!(after(3), [5]);
        assert!(after(u64::MAX).is_empty());
        let event = &store.events_after(other, 5, 9).unwrap()[0];
        assert_eq!((event.event.text.as_str(), event.round), ("event 6", other));
    }

    #[test]
    fn a_client_that_has_sent_nothing_is_listed_too() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("server.sqlite")).unwrap();
        let sql = "INSERT INTO clients (name, token_hash, registered_at)
            VALUES ('a', zeroblob(32), 1), ('b', zeroblob(32), 2)";
        store.lock().execute(sql, []).unwrap();
        let sql = "INSERT INTO rounds (name, spec, state, opened_at) VALUES ('r', '{}', 'open', 1)";
        store.lock().execute(sql, []).unwrap();
        let sql =
            "INSERT INTO submissions (round_id, client_id, hash, level, prompts, received_at, wire)
            VALUES (1, 2, x'00', 'class', 1, 77, x'0102030405')";
        store.lock().execute(sql, []).unwrap();
        let told = store.client_activity(0, 10).unwrap();
        let sent: Vec<_> = told
            .iter()
            .map(|t| (t.last_submission, t.submissions, t.bytes))
            .collect();
        assert_eq!(sent, [(None, 0, 0), (Some(77), 1, 5)]);
        assert_eq!(store.client_activity(1, 10).unwrap()[0].name, "b");
        let wire = |client| store.wire(RoundId::new(1), ClientId::new(client)).unwrap();
        assert_eq!((wire(1), wire(2)), (None, Some(vec![1, 2, 3, 4, 5])));
    }
}
