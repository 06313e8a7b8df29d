//! One-time codes: given out, spent for a token, kept as hashes.

use promptfed_prompts::protocol::ClientId;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::{Store, now};
use crate::Result;
use crate::token::{Token, TokenHash};

/// What came of a code.
#[derive(Debug)]
pub(crate) enum Enrolled {
    /// The token works from now on, of the client of this name.
    As(String),
    /// No client was given this code, or it was taken back.
    Unknown,
    /// It was spent for another token.
    Spent,
    /// Nobody spent it in time.
    Expired,
}

impl Store {
    /// Spends a client's code for a token, whose hash is kept. The same again changes nothing.
    pub(crate) fn enrol(&self, client: ClientId, code: &str, token: TokenHash) -> Result<Enrolled> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let sql = "SELECT e.code_hash, e.expires_at, e.spent_at IS NOT NULL, c.token_hash, c.name
            FROM enrolments e JOIN clients c ON c.id = e.client_id WHERE e.client_id = ?1";
        let known = transaction
            .query_row(sql, [client.get()], |row| {
                Ok(Known {
                    code: TokenHash::from_bytes(row.get(0)?),
                    expires_at: row.get(1)?,
                    is_spent: row.get(2)?,
                    token: TokenHash::from_bytes(row.get(3)?),
                    name: row.get(4)?,
                })
            })
            .optional()?;
        let Some(known) = known.filter(|known| known.code.matches(code)) else {
            return Ok(Enrolled::Unknown);
        };
        if known.is_spent {
            return Ok(match known.token == token {
                true => Enrolled::As(known.name),
                false => Enrolled::Spent,
            });
        }
        let now = now();
        if known.expires_at <= now {
            return Ok(Enrolled::Expired);
        }
        let sql = "UPDATE enrolments SET spent_at = ?2 WHERE client_id = ?1";
        transaction.execute(sql, params![client.get(), now])?;
        let sql =
            "UPDATE clients SET token_hash = ?2, enrolled_at = ?3, revoked_at = NULL WHERE id = ?1";
        transaction.execute(sql, params![client.get(), token.as_bytes(), now])?;
        transaction.commit()?;
        Ok(Enrolled::As(known.name))
    }
}

/// A code that was given out.
struct Known {
    code: TokenHash,
    expires_at: u64,
    is_spent: bool,
    /// The client's token.
    token: TokenHash,
    name: String,
}

/// Gives a client a new code; an earlier one works no longer.
pub(super) fn new_code(
    connection: &Connection,
    client: ClientId,
    expires_at: u64,
) -> Result<Token> {
    let code = Token::code_for(client)?;
    let sql = "INSERT OR REPLACE INTO enrolments (client_id, code_hash, expires_at, spent_at)
        VALUES (?1, ?2, ?3, NULL)";
    connection.prepare_cached(sql)?.execute(params![
        client.get(),
        code.hash().as_bytes(),
        expires_at
    ])?;
    Ok(code)
}
