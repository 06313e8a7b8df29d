//! Clients and the hashes of their tokens.

use promptfed_prompts::protocol::{ClientEntry, ClientId};
use rusqlite::{Connection, OptionalExtension, params};

use super::{Store, now};
use crate::Result;
use crate::token::{Token, TokenHash};

/// What a registration did.
pub(crate) enum Registered {
    /// The clients have these identifiers and these new tokens, in the order of their names.
    As(Vec<(ClientId, Token)>),
    /// This name is taken, and no new token was asked for; nobody was registered.
    NameTaken(String),
}

impl Store {
    /// Registers clients, all or none; those that are registered are given new tokens when `replace_token` is set.
    pub(crate) fn register(&self, names: &[String], replace_token: bool) -> Result<Registered> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let mut registered = Vec::with_capacity(names.len());
        for name in names {
            match register(&transaction, name, replace_token)? {
                Some(client) => registered.push(client),
                None => return Ok(Registered::NameTaken(name.clone())),
            }
        }
        transaction.commit()?;
        Ok(Registered::As(registered))
    }

    /// Whether a client of this name is registered.
    pub(crate) fn knows(&self, name: &str) -> Result<bool> {
        let connection = self.read();
        let sql = "SELECT EXISTS (SELECT 1 FROM clients WHERE name = ?1)";
        let mut statement = connection.prepare_cached(sql)?;
        Ok(statement.query_row([name], |row| row.get(0))?)
    }

    /// All clients in the order of their registration.
    pub(crate) fn clients(&self) -> Result<Vec<ClientEntry>> {
        let connection = self.lock();
        let sql = "SELECT id, name, registered_at, revoked_at FROM clients ORDER BY id";
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map([], entry)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Ends a client's token; what it has submitted stays.
    pub(crate) fn revoke(&self, client: ClientId) -> Result<Option<ClientEntry>> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        // No token is known whose hash is this.
        let sql = "UPDATE clients SET token_hash = zeroblob(32), revoked_at = ?2
            WHERE id = ?1 AND revoked_at IS NULL";
        transaction.execute(sql, params![client.get(), now()])?;
        let sql = "SELECT id, name, registered_at, revoked_at FROM clients WHERE id = ?1";
        let revoked = transaction
            .query_row(sql, [client.get()], entry)
            .optional()?;
        transaction.commit()?;
        Ok(revoked)
    }

    /// The hash of a client's token.
    pub(crate) fn token_hash(&self, client: ClientId) -> Result<Option<TokenHash>> {
        let connection = self.read();
        let mut statement = connection.prepare_cached(
            "SELECT token_hash FROM clients WHERE id = ?1 AND revoked_at IS NULL",
        )?;
        let hash: Option<[u8; 32]> = statement
            .query_row([client.get()], |row| row.get(0))
            .optional()?;
        Ok(hash.map(TokenHash::from_bytes))
    }
}

/// Registers a client; nothing where its name is taken.
fn register(
    connection: &Connection,
    name: &str,
    replace_token: bool,
) -> Result<Option<(ClientId, Token)>> {
    let mut known = connection.prepare_cached("SELECT id FROM clients WHERE name = ?1")?;
    let known = known.query_row([name], |row| row.get(0)).optional()?;
    let id = match known {
        Some(_) if !replace_token => return Ok(None),
        Some(id) => id,
        None => {
            let sql = "INSERT INTO clients (name, token_hash, registered_at) VALUES (?1, x'', ?2)";
            connection
                .prepare_cached(sql)?
                .execute(params![name, now()])?;
            u32::try_from(connection.last_insert_rowid()).unwrap_or(u32::MAX)
        }
    };
    let token = Token::for_client(ClientId::new(id))?;
    let sql = "UPDATE clients SET token_hash = ?2, revoked_at = NULL WHERE id = ?1";
    connection
        .prepare_cached(sql)?
        .execute(params![id, token.hash().as_bytes()])?;
    Ok(Some((ClientId::new(id), token)))
}

fn entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<ClientEntry> {
    Ok(ClientEntry {
        client_id: ClientId::new(row.get(0)?),
        name: row.get(1)?,
        registered_at: row.get(2)?,
        revoked_at: row.get(3)?,
    })
}
