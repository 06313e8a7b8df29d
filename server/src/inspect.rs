//! A look into a server's data folder from outside, which changes nothing and holds up no server.

use std::path::Path;
use std::time::Duration;

use promptfed_files::is_locked;
use rusqlite::{Connection, OpenFlags};

use crate::data_folder::{DATA_FOLDER_LOCK, DATABASE};
use crate::store::{APPLICATION_ID, NEWEST_VERSION};
use crate::{Error, Result};

/// How long a database that is being written to is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a data folder holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Whether a server works in the folder.
    pub in_use: bool,
    /// Version of the database's tables.
    pub database_version: usize,
    /// The version that this program writes; an older database is changed at the next start, with a copy kept.
    pub newest_version: usize,
    /// Whether SQLite finds the database whole.
    pub is_whole: bool,
    /// Rounds by state, as their statuses name it.
    pub rounds: Vec<(String, u64)>,
    /// Rounds whose job waits or is in work, by their numbers.
    pub queued: Vec<u32>,
}

/// Looks into the data folder of a server, which may be working; `None` of a folder that holds no server's data.
///
/// # Errors
/// A database of another program or of a newer version, or one that cannot be read.
pub fn inspect(data_dir: &Path) -> Result<Option<Inspection>> {
    let file = data_dir.join(DATABASE);
    if !file.is_file() {
        return Ok(None);
    }
    let connection = Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(PATIENCE)?;
    let application: i32 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application != APPLICATION_ID {
        return Err(Error::ForeignDatabase);
    }
    let found: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > NEWEST_VERSION {
        return Err(Error::NewerDatabase {
            found,
            supported: NEWEST_VERSION,
        });
    }
    let check: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    let states = match found {
        // Before it there was no state that waits for an operator.
        0..3 => "SELECT state, count(*) FROM rounds GROUP BY 1",
        _ => "SELECT iif(failure = 'paused', failure, state), count(*) FROM rounds GROUP BY 1",
    };
    let mut rounds = connection.prepare(states)?;
    let rounds = rounds.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let rounds = rounds.collect::<rusqlite::Result<_>>()?;
    let queue = "SELECT id FROM rounds WHERE state = 'queued' ORDER BY closed_at, id";
    let mut queued = connection.prepare(queue)?;
    let queued = queued.query_map([], |row| row.get(0))?;
    Ok(Some(Inspection {
        in_use: is_locked(&data_dir.join(DATA_FOLDER_LOCK)),
        database_version: found,
        newest_version: NEWEST_VERSION,
        is_whole: check == "ok",
        rounds,
        queued: queued.collect::<rusqlite::Result<_>>()?,
    }))
}
