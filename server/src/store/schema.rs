//! The database's tables and their version.

use std::path::Path;

use rusqlite::Connection;

use crate::backup::hash_of;
use crate::data_folder::close_to_others;
use crate::{Error, Result};

/// Marks the file as this program's database (`PRAGMA application_id`): "pfed".
pub(crate) const APPLICATION_ID: i32 = 0x7066_6564;

/// The statements that lead from version `i` to version `i + 1`. Published steps never change; new ones follow.
const MIGRATIONS: [&str; 7] = ["
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
", "
    ALTER TABLE rounds ADD COLUMN submitted INTEGER NOT NULL DEFAULT 0;
    UPDATE rounds SET submitted = (SELECT count(*) FROM submissions WHERE round_id = rounds.id);
    CREATE TRIGGER submission_comes AFTER INSERT ON submissions BEGIN
        UPDATE rounds SET submitted = submitted + 1 WHERE id = NEW.round_id;
    END;
    CREATE TRIGGER submission_goes AFTER DELETE ON submissions BEGIN
        UPDATE rounds SET submitted = submitted - 1 WHERE id = OLD.round_id;
    END;
    CREATE INDEX submission_templates_by_client ON submission_templates (round_id, client_id);
", "
    ALTER TABLE clients ADD COLUMN revoked_at INTEGER;
    ALTER TABLE submissions ADD COLUMN classes INTEGER;
    -- What kind of failure it was; of a round in state 'failed', 'paused' waits for an operator.
    ALTER TABLE rounds ADD COLUMN failure TEXT;
    -- How often the job was begun, and how often since it last came to an orderly end.
    ALTER TABLE rounds ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE rounds ADD COLUMN unfinished INTEGER NOT NULL DEFAULT 0;
    -- What the submissions come to together, of an open round: without equal pieces.
    ALTER TABLE rounds ADD COLUMN pooled_prompts INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE rounds ADD COLUMN pooled_classes INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE rounds ADD COLUMN pooled_bytes INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE pieces (
        round_id INTEGER NOT NULL REFERENCES rounds (id) ON DELETE CASCADE,
        key      BLOB    NOT NULL,
        holders  INTEGER NOT NULL,
        PRIMARY KEY (round_id, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE exclusions (
        round_id    INTEGER NOT NULL REFERENCES rounds (id) ON DELETE CASCADE,
        client_id   INTEGER NOT NULL REFERENCES clients (id),
        excluded_at INTEGER NOT NULL,
        PRIMARY KEY (round_id, client_id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE events (
        id       INTEGER PRIMARY KEY AUTOINCREMENT,
        round_id INTEGER NOT NULL REFERENCES rounds (id) ON DELETE CASCADE,
        at       INTEGER NOT NULL,
        text     TEXT    NOT NULL,
        is_submission INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX events_by_round ON events (round_id, is_submission, id);
    -- What is left to do after a crash.
    CREATE TABLE chores (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
", "
    -- When a client's token was last made; without it, its hash is of none.
    ALTER TABLE clients ADD COLUMN enrolled_at INTEGER;
    UPDATE clients SET enrolled_at = registered_at;
    -- The last code of a client.
    CREATE TABLE enrolments (
        client_id  INTEGER PRIMARY KEY REFERENCES clients (id),
        code_hash  BLOB    NOT NULL,
        expires_at INTEGER NOT NULL,
        spent_at   INTEGER
    ) STRICT;
", "
    -- Trainings of a round's images after its own, which has the number 1 and stands in `rounds`.
    CREATE TABLE trainings (
        round_id    INTEGER NOT NULL REFERENCES rounds (id) ON DELETE CASCADE,
        number      INTEGER NOT NULL CHECK (number > 1),
        plan        TEXT    NOT NULL,
        -- The classes, by their numbers, whose images were made again, each with the number of the time.
        draws       TEXT    NOT NULL,
        publish     INTEGER NOT NULL,
        state       TEXT    NOT NULL CHECK (state IN ('queued', 'done', 'failed', 'cancelled')),
        failure     TEXT,
        reason      TEXT,
        results     TEXT,
        attempts    INTEGER NOT NULL DEFAULT 0,
        unfinished  INTEGER NOT NULL DEFAULT 0,
        asked_at    INTEGER NOT NULL,
        finished_at INTEGER,
        PRIMARY KEY (round_id, number)
    ) STRICT;
    CREATE INDEX trainings_by_state ON trainings (state, asked_at);
    -- The training whose model clients get.
    ALTER TABLE rounds ADD COLUMN published INTEGER NOT NULL DEFAULT 1;
    -- Images, by the hashes of their pixels, that no training takes.
    CREATE TABLE dropped_images (
        round_id   INTEGER NOT NULL REFERENCES rounds (id) ON DELETE CASCADE,
        hash       BLOB    NOT NULL,
        dropped_at INTEGER NOT NULL,
        PRIMARY KEY (round_id, hash)
    ) STRICT, WITHOUT ROWID;
", "
    -- Tokens of those who look at the dashboard beside the administrator.
    CREATE TABLE dashboard_tokens (
        id         INTEGER PRIMARY KEY AUTOINCREMENT,
        role       TEXT    NOT NULL CHECK (role IN ('operator', 'viewer')),
        name       TEXT    NOT NULL,
        token_hash BLOB    NOT NULL UNIQUE,
        made_at    INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE dashboard_sessions (
        session_hash BLOB    PRIMARY KEY,
        token_hash   BLOB    NOT NULL,
        role         TEXT    NOT NULL CHECK (role IN ('admin', 'operator', 'viewer')),
        ends_at      INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
", "
    -- The public half of a round's key pair; rounds without one take prompts as they are.
    ALTER TABLE rounds ADD COLUMN sealing_key BLOB;
    -- Of a sealed prompt set: its content's mark, by which it is known when it comes again.
    ALTER TABLE submissions ADD COLUMN content BLOB;
"];

/// The version of the tables that this program writes.
pub(crate) const NEWEST_VERSION: usize = MIGRATIONS.len();

/// Makes the tables in a new file, or checks and upgrades those of an old one.
pub(super) fn prepare(connection: &mut Connection) -> Result<()> {
    // Write-ahead logging with a sync at every commit: what was committed survives a crash of process or machine.
    connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // What is deleted is overwritten.
    connection.pragma_update(None, "secure_delete", true)?;

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
    if (1..MIGRATIONS.len()).contains(&version) {
        keep_copy(connection, version)?;
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

/// Keeps the database as it was before its tables are changed, in a file beside it that ends in its version; another one that is there already is
/// given a number.
fn keep_copy(connection: &Connection, version: usize) -> Result<()> {
    let Some(file) = connection.path().filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    let copy = format!("{file}.v{version}");
    // A kill leaves what is not taken for a copy.
    let partial = format!("{copy}.partial");
    let _ = std::fs::remove_file(&partial);
    connection.execute("VACUUM INTO ?1", [&partial])?;
    close_to_others(Path::new(&partial));
    // A change that did not come to its end has left the same.
    if Path::new(&copy).exists() && hash_of(Path::new(&copy))? != hash_of(Path::new(&partial))? {
        let mut asides = (1u32..).map(|number| format!("{copy}.{number}"));
        if let Some(aside) = asides.find(|file| !Path::new(file).exists()) {
            fs_err::rename(&copy, aside)?;
        }
    }
    fs_err::rename(&partial, &copy)?;
    tracing::info!(%copy, "the database as it was before its tables are changed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_database_is_copied_and_counts_what_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("server.sqlite");
        let mut connection = Connection::open(&file).unwrap();
        connection.execute_batch(MIGRATIONS[0]).unwrap();
        let of_version =
            format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1;");
        connection.execute_batch(&of_version).unwrap();
        connection
            .execute_batch(
                "INSERT INTO clients (name, token_hash, registered_at) VALUES ('a', x'00', 1), ('b', x'01', 1);
                INSERT INTO rounds (name, spec, state, opened_at) VALUES ('r', '{}', 'open', 1), ('s', '{}', 'open', 1);
                INSERT INTO submissions VALUES (1, 1, x'00', 'class', 1, 1, x'00'), (1, 2, x'00', 'class', 1, 1, x'00');",
            )
            .unwrap();
        prepare(&mut connection).unwrap();
        let submitted = |connection: &Connection, round: u32| -> u32 {
            let sql = "SELECT submitted FROM rounds WHERE id = ?1";
            connection
                .query_row(sql, [round], |row| row.get(0))
                .unwrap()
        };
        assert_eq!(
            (submitted(&connection, 1), submitted(&connection, 2)),
            (2, 0)
        );
        connection
            .execute("DELETE FROM submissions WHERE client_id = 1", [])
            .unwrap();
        connection
            .execute(
                "INSERT INTO submissions VALUES (2, 1, x'00', 'class', 1, 1, x'00', NULL, NULL)",
                [],
            )
            .unwrap();
        assert_eq!(
            (submitted(&connection, 1), submitted(&connection, 2)),
            (1, 1)
        );
        let later: (u32, u64) = connection
            .query_row(
                "SELECT attempts, pooled_bytes FROM rounds WHERE id = 1",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        assert_eq!(later, (0, 0));
        let enrolled: u32 = connection
            .query_row(
                "SELECT count(*) FROM clients WHERE enrolled_at = registered_at",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(enrolled, 2, "their tokens go on working");
        let copy = Connection::open(folder.path().join("server.sqlite.v1")).unwrap();
        let kept: (u32, u32) = (
            copy.query_row("SELECT count(*) FROM submissions", [], |row| row.get(0))
                .unwrap(),
            copy.pragma_query_value(None, "user_version", |row| row.get(0))
                .unwrap(),
        );
        assert_eq!(kept, (2, 1));
    }

    #[test]
    fn tokens_and_submissions_of_version_3_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("server.sqlite");
        let mut connection = Connection::open(&file).unwrap();
        let of_version =
            format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 3;");
        connection
            .execute_batch(&(MIGRATIONS[..3].concat() + &of_version))
            .unwrap();
        connection
            .execute_batch(
                "INSERT INTO clients (name, token_hash, registered_at, revoked_at)
                    VALUES ('a', x'01', 1, NULL), ('b', zeroblob(32), 2, 3);
                INSERT INTO rounds (name, spec, state, opened_at) VALUES ('r', '{}', 'open', 1);
                INSERT INTO submissions VALUES (1, 1, x'00', 'class', 1, 1, x'00', 1);",
            )
            .unwrap();
        prepare(&mut connection).unwrap();
        let version: usize = connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap();
        assert_eq!(version, NEWEST_VERSION);
        let client = |id: u32| -> (Option<u32>, Option<u32>) {
            let sql = "SELECT enrolled_at, revoked_at FROM clients WHERE id = ?1";
            connection
                .query_row(sql, [id], |row| Ok((row.get(0)?, row.get(1)?)))
                .unwrap()
        };
        assert_eq!(client(1), (Some(1), None));
        assert_eq!(client(2), (Some(2), Some(3)));
        let round: (u32, u32, Option<Vec<u8>>, Option<Vec<u8>>) = connection
            .query_row(
                "SELECT r.submitted, r.published, r.sealing_key, s.content
                    FROM rounds r JOIN submissions s ON s.round_id = r.id",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
            )
            .unwrap();
        assert_eq!(round, (1, 1, None, None));
        assert!(folder.path().join("server.sqlite.v3").exists());
    }

    #[test]
    fn an_earlier_copy_is_moved_aside_unless_it_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("server.sqlite");
        let connection = Connection::open(&file).unwrap();
        connection.execute_batch(MIGRATIONS[0]).unwrap();
        let copy = folder.path().join("server.sqlite.v1");
        let aside = folder.path().join("server.sqlite.v1.1");
        keep_copy(&connection, 1).unwrap();
        keep_copy(&connection, 1).unwrap();
        assert!(copy.exists() && !aside.exists());
        fs_err::write(&copy, b"of another day").unwrap();
        keep_copy(&connection, 1).unwrap();
        assert_eq!(fs_err::read(&aside).unwrap(), b"of another day");
        assert!(fs_err::read(&copy).unwrap().starts_with(b"SQLite"));
    }

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
