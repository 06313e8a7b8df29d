//! Clients and the hashes of their tokens.

use std::collections::BTreeSet;

use promptfed_prompts::protocol::{ClientEntry, ClientId};
use rusqlite::{Connection, OptionalExtension, params};

use super::enrolment::new_code;
use super::{Store, now};
use crate::Result;
use crate::token::{Token, TokenHash};

/// What a registration did.
pub(crate) enum Registered {
    /// The clients have these identifiers and codes, in the order of their names.
    As(Vec<Invited>),
    /// These names are taken, and no new codes were asked for; nobody was registered.
    NamesTaken(Vec<String>),
}

/// A client with a new code.
pub(crate) struct Invited {
    pub(crate) client: ClientId,
    pub(crate) code: Token,
    /// Whether it was not registered before.
    pub(crate) is_new: bool,
}

impl Store {
    /// Registers clients, all or none, and gives them codes that work until `expires_at`; those that are registered are given new codes when
    /// `replace` is set, and keep their tokens until these are spent.
    pub(crate) fn register(
        &self,
        names: &[String],
        replace: bool,
        expires_at: u64,
    ) -> Result<Registered> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let (mut invited, mut taken) = (Vec::with_capacity(names.len()), Vec::new());
        for name in names {
            let known = known(&transaction, name)?;
            if known.is_some() && !replace {
                taken.push(name.clone());
            }
            // Once a name is taken, only others are looked for that are too.
            if !taken.is_empty() {
                continue;
            }
            let client = match known {
                Some(client) => client,
                None => add(&transaction, name)?,
            };
            invited.push(Invited {
                client,
                code: new_code(&transaction, client, expires_at)?,
                is_new: known.is_none(),
            });
        }
        if !taken.is_empty() {
            return Ok(Registered::NamesTaken(taken));
        }
        transaction.commit()?;
        Ok(Registered::As(invited))
    }

    /// Those of the names that are a client's.
    pub(crate) fn known_names(&self, names: &[String]) -> Result<BTreeSet<String>> {
        let connection = self.read();
        let mut found = BTreeSet::new();
        for name in names {
            if known(&connection, name)?.is_some() {
                found.insert(name.clone());
            }
        }
        Ok(found)
    }

    /// All clients in the order of their registration.
    pub(crate) fn clients(&self) -> Result<Vec<ClientEntry>> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(&format!("{ENTRIES} ORDER BY c.id"))?;
        let rows = statement.query_map([], entry)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Ends a client's token and takes back its code; what it has submitted stays.
    pub(crate) fn revoke(&self, client: ClientId) -> Result<Option<ClientEntry>> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        // No token is known whose hash is this.
        let sql = "UPDATE clients SET token_hash = zeroblob(32), revoked_at = ?2
            WHERE id = ?1 AND revoked_at IS NULL";
        transaction.execute(sql, params![client.get(), now()])?;
        let sql = "DELETE FROM enrolments WHERE client_id = ?1";
        transaction.execute(sql, [client.get()])?;
        let sql = format!("{ENTRIES} WHERE c.id = ?1");
        let revoked = transaction
            .query_row(&sql, [client.get()], entry)
            .optional()?;
        transaction.commit()?;
        Ok(revoked)
    }

    /// The hash of a client's token.
    pub(crate) fn token_hash(&self, client: ClientId) -> Result<Option<TokenHash>> {
        let connection = self.read();
        let mut statement = connection.prepare_cached(
            "SELECT token_hash FROM clients
                WHERE id = ?1 AND revoked_at IS NULL AND enrolled_at IS NOT NULL",
        )?;
        let hash: Option<[u8; 32]> = statement
            .query_row([client.get()], |row| row.get(0))
            .optional()?;
        Ok(hash.map(TokenHash::from_bytes))
    }
}

/// The client of this name.
fn known(connection: &Connection, name: &str) -> Result<Option<ClientId>> {
    let mut statement = connection.prepare_cached("SELECT id FROM clients WHERE name = ?1")?;
    let id = statement.query_row([name], |row| row.get(0)).optional()?;
    Ok(id.map(ClientId::new))
}

/// A new client, without a token yet.
fn add(connection: &Connection, name: &str) -> Result<ClientId> {
    // No token is known whose hash is this.
    let sql = "INSERT INTO clients (name, token_hash, registered_at) VALUES (?1, zeroblob(32), ?2)";
    connection
        .prepare_cached(sql)?
        .execute(params![name, now()])?;
    let id = u32::try_from(connection.last_insert_rowid()).unwrap_or(u32::MAX);
    Ok(ClientId::new(id))
}

/// The columns of [`entry`].
const ENTRIES: &str =
    "SELECT c.id, c.name, c.registered_at, c.enrolled_at, c.revoked_at, e.expires_at
    FROM clients c LEFT JOIN enrolments e ON e.client_id = c.id AND e.spent_at IS NULL";

fn entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<ClientEntry> {
    Ok(ClientEntry {
        client_id: ClientId::new(row.get(0)?),
        name: row.get(1)?,
        registered_at: row.get(2)?,
        enrolled_at: row.get(3)?,
        revoked_at: row.get(4)?,
        code_expires_at: row.get(5)?,
    })
}
