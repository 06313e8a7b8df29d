//! The database's tables and their version.

use rusqlite::Connection;

use crate::{Error, Result};

/// Marks the file as this program's database (`PRAGMA application_id`): "pfed".
const APPLICATION_ID: i32 = 0x7066_6564;

/// The statements that lead from version `i` to version `i + 1`. Published steps never change; new ones follow.
const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE clients (
        id            INTEGER PRIMARY KEY AUTOINCREMENT,
        name          TEXT    NOT NULL UNIQUE,
        token_hash    BLOB    NOT NULL,
        registered_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE rounds (
        id               INTEGER PRIMARY KEY AUTOINCREMENT,
        name             TEXT    NOT NULL,
        spec             TEXT    NOT NULL,
        state            TEXT    NOT NULL CHECK (state IN ('open', 'queued', 'done', 'failed', 'cancelled')),
        reason           TEXT,
        results          TEXT,
        expected_clients INTEGER,
        opened_at        INTEGER NOT NULL,
        closed_at        INTEGER,
        finished_at      INTEGER
    ) STRICT;
    CREATE TABLE submissions (
        round_id    INTEGER NOT NULL REFERENCES rounds (id),
        client_id   INTEGER NOT NULL REFERENCES clients (id),
        hash        BLOB    NOT NULL,
        level       TEXT    NOT NULL,
        prompts     INTEGER NOT NULL,
        received_at INTEGER NOT NULL,
        wire        BLOB    NOT NULL,
        PRIMARY KEY (round_id, client_id)
    ) STRICT;
    CREATE TABLE submission_templates (
        round_id  INTEGER NOT NULL,
        client_id INTEGER NOT NULL,
        domain    TEXT    NOT NULL,
        hash      BLOB    NOT NULL,
        PRIMARY KEY (round_id, domain, client_id),
        FOREIGN KEY (round_id, client_id) REFERENCES submissions (round_id, client_id) ON DELETE CASCADE
    ) STRICT;
    CREATE INDEX rounds_by_state ON rounds (state, closed_at, id);
"];

/// Makes the tables in a new file, or checks and upgrades those of an old one.
pub(super) fn prepare(connection: &mut Connection) -> Result<()> {
    // Write-ahead logging with a sync at every commit: what was committed survives a crash of process or machine.
    connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;

    let application: i32 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: u32 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION_ID && tables > 0 {
        return Err(Error::ForeignDatabase);
    }
    if version > MIGRATIONS.len() {
        return Err(Error::NewerDatabase {
            found: version,
            supported: MIGRATIONS.len(),
        });
    }
    let transaction = connection.transaction()?;
    for step in &MIGRATIONS[version..] {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", MIGRATIONS.len())?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prepared_database_can_be_prepared_again() {
        let mut connection = Connection::open_in_memory().unwrap();
        prepare(&mut connection).unwrap();
        connection
            .execute(
                "INSERT INTO clients (name, token_hash, registered_at) VALUES ('a', x'00', 1)",
                [],
            )
            .unwrap();
        prepare(&mut connection).unwrap();
        let clients: u32 = connection
            .query_row("SELECT count(*) FROM clients", [], |r| r.get(0))
            .unwrap();
        assert_eq!(clients, 1);
    }

    #[test]
    fn a_database_of_another_program_is_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert!(matches!(
            prepare(&mut connection),
            Err(Error::ForeignDatabase)
        ));
    }

    #[test]
    fn a_newer_database_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        prepare(&mut connection).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        let error = prepare(&mut connection).unwrap_err();
        assert!(
            matches!(error, Error::NewerDatabase { found: 99, .. }),
            "{error}"
        );
    }
}
