//! Images that an operator has dropped: they stay where they are, and no training takes them.

use std::collections::HashSet;

use promptfed_prompts::ContentHash;
use promptfed_prompts::protocol::{DroppedImages, RoundId};
use rusqlite::{Connection, params};

use super::events::{exists, note};
use super::{Store, now};
use crate::Result;

/// How many hashes an event names; all of them are in the list of the round's images.
const NAMED: usize = 20;

impl Store {
    /// Writes down that images are dropped, or with `undo` that they are taken back in; nothing where there is no such round.
    pub(crate) fn drop_images(
        &self,
        round: RoundId,
        images: &[ContentHash],
        undo: bool,
    ) -> Result<Option<DroppedImages>> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        if !exists(&transaction, round)? {
            return Ok(None);
        }
        let id = round.get();
        let mut changed = Vec::new();
        for hash in images {
            let rows = if undo {
                let sql = "DELETE FROM dropped_images WHERE round_id = ?1 AND hash = ?2";
                transaction.execute(sql, params![id, hash.as_bytes()])?
            } else {
                let sql = "INSERT OR IGNORE INTO dropped_images VALUES (?1, ?2, ?3)";
                transaction.execute(sql, params![id, hash.as_bytes(), now()])?
            };
            if rows > 0 {
                changed.push(*hash);
            }
        }
        if !changed.is_empty() {
            note(&transaction, round, &told(&changed, undo))?;
        }
        let sql = "SELECT count(*) FROM dropped_images WHERE round_id = ?1";
        let dropped = transaction.query_row(sql, [id], |row| row.get(0))?;
        transaction.commit()?;
        Ok(Some(DroppedImages {
            round_id: round,
            changed,
            dropped,
        }))
    }

    /// The images of a round that were dropped.
    pub(crate) fn dropped_images(&self, round: RoundId) -> Result<HashSet<ContentHash>> {
        read(&self.read(), round)
    }
}

fn read(connection: &Connection, round: RoundId) -> Result<HashSet<ContentHash>> {
    let sql = "SELECT hash FROM dropped_images WHERE round_id = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let hashes = statement.query_map([round.get()], |row| {
        Ok(ContentHash::from_bytes(row.get(0)?))
    })?;
    Ok(hashes.collect::<rusqlite::Result<_>>()?)
}

/// Which images, for the round's log.
fn told(images: &[ContentHash], undo: bool) -> String {
    let what = if undo { "taken back in" } else { "dropped" };
    let names: Vec<String> = images.iter().take(NAMED).map(ToString::to_string).collect();
    let more = match images.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{} images {what}: {}{more}", images.len(), names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_dropped_once_and_can_be_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("server.sqlite")).unwrap();
        let sql = "INSERT INTO rounds (name, spec, state, opened_at) VALUES ('r', '{}', 'done', 1)";
        store.lock().execute(sql, []).unwrap();
        let round = RoundId::new(1);
        let [a, b] = ["a", "b"].map(|text| ContentHash::of(text.as_bytes()));
        let drop = |images: &[ContentHash], undo| {
            let told = store.drop_images(round, images, undo).unwrap().unwrap();
            (told.changed, told.dropped)
        };
        assert_eq!(drop(&[a], false), (vec![a], 1));
        assert_eq!(drop(&[a, b], false), (vec![b], 2));
        assert_eq!(drop(&[a], true), (vec![a], 1));
        assert_eq!(drop(&[a], true), (vec![], 1));
        assert_eq!(store.dropped_images(round).unwrap(), HashSet::from([b]));
        let events = store.events(round).unwrap().unwrap();
        let texts: Vec<&str> = events.iter().map(|event| event.text.as_str()).collect();
        assert_eq!(texts[0], format!("1 images dropped: {a}"));
        assert_eq!(texts[2], format!("1 images taken back in: {a}"));
        assert_eq!(texts.len(), 3);
        let none = store.drop_images(RoundId::new(2), &[a], false).unwrap();
        assert_eq!(none, None);
    }
}
