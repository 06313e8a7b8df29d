//! Clients and the hashes of their tokens.

use promptfed_prompts::protocol::ClientId;
use rusqlite::{OptionalExtension, params};

use super::{Store, now};
use crate::Result;
use crate::token::{Token, TokenHash};

/// What a registration did.
pub(crate) enum Registered {
    /// The client has this identifier and this new token.
    As(ClientId, Token),
    /// The name is taken, and no new token was asked for.
    NameTaken,
}

impl Store {
    /// Registers a client, or gives a registered one a new token when `replace_token` is set.
    pub(crate) fn register(&self, name: &str, replace_token: bool) -> Result<Registered> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let known = transaction
            .query_row("SELECT id FROM clients WHERE name = ?1", [name], |row| {
                row.get(0)
            })
            .optional()?;
        let id = match known {
            Some(_) if !replace_token => return Ok(Registered::NameTaken),
            Some(id) => id,
            None => {
                transaction.execute(
                    "INSERT INTO clients (name, token_hash, registered_at) VALUES (?1, x'', ?2)",
                    params![name, now()],
                )?;
                u32::try_from(transaction.last_insert_rowid()).unwrap_or(u32::MAX)
            }
        };
        let token = Token::for_client(ClientId::new(id))?;
        transaction.execute(
            "UPDATE clients SET token_hash = ?2 WHERE id = ?1",
            params![id, token.hash().as_bytes()],
        )?;
        transaction.commit()?;
        Ok(Registered::As(ClientId::new(id), token))
    }

    /// The hash of a client's token.
    pub(crate) fn token_hash(&self, client: ClientId) -> Result<Option<TokenHash>> {
        let connection = self.lock();
        let mut statement =
            connection.prepare_cached("SELECT token_hash FROM clients WHERE id = ?1")?;
        let hash: Option<[u8; 32]> = statement
            .query_row([client.get()], |row| row.get(0))
            .optional()?;
        Ok(hash.map(TokenHash::from_bytes))
    }
}
