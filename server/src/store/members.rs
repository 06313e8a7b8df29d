//! The clients of a round: who has submitted, who has not, who may not.

use promptfed_prompts::ContentHash;
use promptfed_prompts::protocol::{
    ClientId, RoundId, RoundMember, RoundSpec, RoundStatus, StoredSubmission,
};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::events::{exists, note};
use super::pool::{PoolSize, opened};
use super::rounds::read_status;
use super::seal::Seal;
use super::{Store, now};
use crate::Result;

/// What came of the wish to exclude a client from a round, or to let it in again.
#[derive(Debug)]
pub(crate) enum Excluded {
    /// It is as wished.
    Done(RoundStatus),
    /// A round in this state is not changed.
    WrongState(RoundStatus),
    /// There is no such round.
    NoRound,
    /// There is no such client.
    NoClient,
}

impl Store {
    /// All clients with what a round has of them; those whose token was revoked only where there is something.
    pub(crate) fn members(&self, round: RoundId) -> Result<Option<Vec<RoundMember>>> {
        let connection = self.lock();
        if !exists(&connection, round)? {
            return Ok(None);
        }
        let sql =
            "SELECT c.id, c.name, s.received_at, length(s.wire), s.prompts, s.classes, s.hash,
                e.client_id IS NOT NULL
            FROM clients c
            LEFT JOIN submissions s ON s.round_id = ?1 AND s.client_id = c.id
            LEFT JOIN exclusions e ON e.round_id = ?1 AND e.client_id = c.id
            WHERE c.revoked_at IS NULL OR s.client_id IS NOT NULL
            ORDER BY c.id";
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map([round.get()], |row| {
            let received_at: Option<u64> = row.get(2)?;
            let submission = match received_at {
                None => None,
                Some(received_at) => Some(StoredSubmission {
                    received_at,
                    bytes: row.get(3)?,
                    prompts: row.get(4)?,
                    classes: row.get(5)?,
                    hash: ContentHash::from_bytes(row.get(6)?),
                }),
            };
            Ok(RoundMember {
                client_id: ClientId::new(row.get(0)?),
                name: row.get(1)?,
                submission,
                excluded: row.get(7)?,
            })
        })?;
        Ok(Some(rows.collect::<rusqlite::Result<_>>()?))
    }

    /// Whether a client has submitted to a round.
    pub(crate) fn took_part(&self, round: RoundId, client: ClientId) -> Result<bool> {
        let connection = self.lock();
        let sql =
            "SELECT EXISTS (SELECT 1 FROM submissions WHERE round_id = ?1 AND client_id = ?2)";
        let mut statement = connection.prepare_cached(sql)?;
        Ok(statement.query_row([round.get(), client.get()], |row| row.get(0))?)
    }

    /// Removes a client's prompt set from a round that is open, paused or has failed, and takes none of it any more. `discard` removes the images
    /// of a round that has some of the client, before its prompts go: they must not be trained on, whatever comes between.
    pub(crate) fn exclude(
        &self,
        round: RoundId,
        client: ClientId,
        spec: &RoundSpec,
        discard: impl FnOnce() -> Result<()>,
    ) -> Result<Excluded> {
        self.change_member(round, client, |connection, is_open| {
            let sql = "INSERT OR IGNORE INTO exclusions VALUES (?1, ?2, ?3)";
            connection.execute(sql, params![round.get(), client.get(), now()])?;
            if is_open {
                let seal = self.seal_if_kept(connection, round)?;
                forget_pieces(connection, round, client, spec, seal.as_ref())?;
            }
            let sql = "DELETE FROM submissions WHERE round_id = ?1 AND client_id = ?2";
            let removed = connection.execute(sql, [round.get(), client.get()])?;
            if removed > 0 && !is_open {
                discard()?;
            }
            Ok(match removed {
                0 => "excluded",
                _ => "excluded, its prompt set removed",
            })
        })
    }

    /// Lets a client that was excluded submit again.
    pub(crate) fn include(&self, round: RoundId, client: ClientId) -> Result<Excluded> {
        self.change_member(round, client, |connection, _| {
            let sql = "DELETE FROM exclusions WHERE round_id = ?1 AND client_id = ?2";
            connection.execute(sql, [round.get(), client.get()])?;
            Ok("no longer excluded")
        })
    }

    fn change_member(
        &self,
        round: RoundId,
        client: ClientId,
        change: impl FnOnce(&Connection, bool) -> Result<&'static str>,
    ) -> Result<Excluded> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let sql = "SELECT state FROM rounds WHERE id = ?1";
        let state: Option<String> = transaction
            .query_row(sql, [round.get()], |row| row.get(0))
            .optional()?;
        let sql = "SELECT name FROM clients WHERE id = ?1";
        let name: Option<String> = transaction
            .query_row(sql, [client.get()], |row| row.get(0))
            .optional()?;
        let (Some(state), Some(name)) = (&state, name) else {
            return Ok(match state {
                None => Excluded::NoRound,
                Some(_) => Excluded::NoClient,
            });
        };
        if !matches!(state.as_str(), "open" | "failed") {
            return Ok(match read_status(&transaction, round)? {
                Some(status) => Excluded::WrongState(status),
                None => Excluded::NoRound,
            });
        }
        let done = change(&transaction, state == "open")?;
        note(
            &transaction,
            round,
            &format!("client {client} ({name}) {done}"),
        )?;
        let status = read_status(&transaction, round)?;
        transaction.commit()?;
        Ok(status.map_or(Excluded::NoRound, Excluded::Done))
    }
}

/// Takes a client's prompt set out of the size of its round's pool. One that cannot be opened or read any more is not in the way of its removal.
pub(super) fn forget_pieces(
    connection: &Connection,
    round: RoundId,
    client: ClientId,
    spec: &RoundSpec,
    seal: Option<&Seal>,
) -> Result<()> {
    let sql = "SELECT wire FROM submissions WHERE round_id = ?1 AND client_id = ?2";
    let wire: Option<Vec<u8>> = connection
        .query_row(sql, [round.get(), client.get()], |row| row.get(0))
        .optional()?;
    let Some((sent, seal)) = wire.zip(seal) else {
        return Ok(());
    };
    let set = opened(seal, client, &sent, spec).ok();
    let mut size = PoolSize::read(connection, round)?;
    // Of a round from before pools were counted, nothing is.
    if let Some(set) = set.filter(|_| !size.is_uncounted()) {
        size.remove(connection, round, seal.pieces(&set))?;
        size.write(connection, round)?;
    }
    Ok(())
}
