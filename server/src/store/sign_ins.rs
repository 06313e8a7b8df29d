//! Who may sign in to the dashboard, and who has. Tokens and sessions are kept as hashes; sessions outlive the server, so that a restart signs nobody out.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::{Store, now};
use crate::Result;
use crate::role::Role;
use crate::token::TokenHash;

/// Sessions of one token at once.
const MOST_SESSIONS: u32 = 64;

/// A token of an operator or a viewer, without its secret.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DashboardToken {
    pub(crate) id: u32,
    pub(crate) role: Role,
    /// For whom it was made.
    pub(crate) name: String,
    /// Milliseconds since 1970-01-01 UTC.
    pub(crate) made_at: u64,
}

impl Store {
    /// Keeps the hash of a new token.
    pub(crate) fn add_dashboard_token(
        &self,
        role: Role,
        name: &str,
        token: TokenHash,
    ) -> Result<()> {
        let sql = "INSERT INTO dashboard_tokens (role, name, token_hash, made_at)
            VALUES (?1, ?2, ?3, ?4)";
        let values = params![role.name(), name, token.as_bytes(), now()];
        self.lock().execute(sql, values)?;
        Ok(())
    }

    /// The tokens that work, the earliest first.
    pub(crate) fn dashboard_tokens(&self) -> Result<Vec<DashboardToken>> {
        let connection = self.read();
        let sql = "SELECT id, role, name, made_at FROM dashboard_tokens ORDER BY id";
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| {
            let role: String = row.get(1)?;
            Ok(DashboardToken {
                id: row.get(0)?,
                // The table takes no other names.
                role: Role::of_name(&role).unwrap_or(Role::Viewer),
                name: row.get(2)?,
                made_at: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Ends a token and the sessions that were begun with it; says whether there was one.
    pub(crate) fn end_dashboard_token(&self, id: u32) -> Result<bool> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let sql = "DELETE FROM dashboard_sessions WHERE token_hash IN
            (SELECT token_hash FROM dashboard_tokens WHERE id = ?1)";
        transaction.execute(sql, [id])?;
        let sql = "DELETE FROM dashboard_tokens WHERE id = ?1";
        let ended = transaction.execute(sql, [id])?;
        transaction.commit()?;
        Ok(ended > 0)
    }

    /// The role that a token of an operator or a viewer gives.
    pub(crate) fn dashboard_role(&self, token: TokenHash) -> Result<Option<Role>> {
        let connection = self.read();
        let sql = "SELECT role FROM dashboard_tokens WHERE token_hash = ?1";
        let mut statement = connection.prepare_cached(sql)?;
        let role: Option<String> = statement
            .query_row([token.as_bytes()], |row| row.get(0))
            .optional()?;
        Ok(role.and_then(|name| Role::of_name(&name)))
    }

    /// Begins a session of whoever holds a token; the earliest of too many ends.
    pub(crate) fn begin_session(
        &self,
        session: TokenHash,
        token: TokenHash,
        role: Role,
        lasts: Duration,
    ) -> Result<()> {
        let begins = now();
        let lasts = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
        let ends = begins.saturating_add(lasts);
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let sql = "DELETE FROM dashboard_sessions WHERE ends_at <= ?1";
        transaction.execute(sql, [begins])?;
        let sql = "INSERT INTO dashboard_sessions (session_hash, token_hash, role, ends_at)
            VALUES (?1, ?2, ?3, ?4)";
        let values = params![session.as_bytes(), token.as_bytes(), role.name(), ends];
        transaction.execute(sql, values)?;
        let sql = "DELETE FROM dashboard_sessions WHERE token_hash = ?1 AND session_hash NOT IN
            (SELECT session_hash FROM dashboard_sessions WHERE token_hash = ?1
                ORDER BY session_hash = ?2 DESC, ends_at DESC LIMIT ?3)";
        let values = params![token.as_bytes(), session.as_bytes(), MOST_SESSIONS];
        transaction.execute(sql, values)?;
        transaction.commit()?;
        Ok(())
    }

    /// The role of a session that has not ended, whose token still works: the administrator's as it is now, or one of those given.
    pub(crate) fn session_role(
        &self,
        session: TokenHash,
        admin: TokenHash,
    ) -> Result<Option<Role>> {
        let connection = self.read();
        let sql = "SELECT role FROM dashboard_sessions
            WHERE session_hash = ?1 AND ends_at > ?2 AND CASE role
                WHEN 'admin' THEN token_hash = ?3
                ELSE token_hash IN (SELECT token_hash FROM dashboard_tokens) END";
        let mut statement = connection.prepare_cached(sql)?;
        let values = params![session.as_bytes(), now(), admin.as_bytes()];
        let role: Option<String> = statement.query_row(values, |row| row.get(0)).optional()?;
        Ok(role.and_then(|name| Role::of_name(&name)))
    }

    /// Ends a session.
    pub(crate) fn end_session(&self, session: TokenHash) -> Result<()> {
        let sql = "DELETE FROM dashboard_sessions WHERE session_hash = ?1";
        self.lock().execute(sql, [session.as_bytes()])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Token;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn hash() -> TokenHash {
        Token::for_session().unwrap().hash()
    }

    #[test]
    fn a_session_ends_with_its_time_its_token_or_itself() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("server.sqlite")).unwrap();
        let (admin, token) = (hash(), hash());
        store
            .add_dashboard_token(Role::Viewer, "screen", token)
            .unwrap();
        assert_eq!(store.dashboard_role(token).unwrap(), Some(Role::Viewer));
        assert_eq!(store.dashboard_role(admin).unwrap(), None);

        let begun = |token, role, lasts| {
            let session = hash();
            store.begin_session(session, token, role, lasts).unwrap();
            session
        };
        let role = |session| store.session_role(session, admin).unwrap();
        let of_admin = begun(admin, Role::Admin, DAY);
        let of_viewer = begun(token, Role::Viewer, DAY);
        let past = begun(token, Role::Viewer, Duration::ZERO);
        assert_eq!(role(of_admin), Some(Role::Admin));
        assert_eq!(role(of_viewer), Some(Role::Viewer));
        assert_eq!((role(past), role(hash())), (None, None));
        // Another administrator's token ends the sessions of the one before.
        assert_eq!(store.session_role(of_admin, hash()).unwrap(), None);

        let tokens = store.dashboard_tokens().unwrap();
        assert_eq!((tokens.len(), tokens[0].name.as_str()), (1, "screen"));
        assert!(store.end_dashboard_token(tokens[0].id).unwrap());
        assert!(!store.end_dashboard_token(tokens[0].id).unwrap());
        assert_eq!(role(of_viewer), None);
        store.end_session(of_admin).unwrap();
        assert_eq!(role(of_admin), None);
    }

    #[test]
    fn a_token_has_so_many_sessions_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("server.sqlite")).unwrap();
        let (admin, other) = (hash(), hash());
        store
            .add_dashboard_token(Role::Viewer, "screen", other)
            .unwrap();
        let of_other = hash();
        store
            .begin_session(of_other, other, Role::Viewer, DAY)
            .unwrap();
        let begun: Vec<_> = (0..=MOST_SESSIONS)
            .map(|number| {
                let session = hash();
                let lasts = DAY + Duration::from_secs(u64::from(number));
                store
                    .begin_session(session, admin, Role::Admin, lasts)
                    .unwrap();
                session
            })
            .collect();
        let works = |session: &TokenHash| store.session_role(*session, admin).unwrap().is_some();
        assert!(!works(&begun[0]) && begun[1..].iter().all(works) && works(&of_other));
    }
}
