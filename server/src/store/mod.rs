//! Everything the server must not lose, in one SQLite database.

mod clients;
mod rounds;
mod schema;
mod submissions;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::Connection;

pub(crate) use clients::Registered;
pub(crate) use rounds::Change;
pub(crate) use submissions::{NewSubmission, Stored, Submitted};

use crate::Result;

/// The database. Each method is one transaction and has reached the disk when it returns.
pub(crate) struct Store {
    connection: Mutex<Connection>,
}

impl Store {
    /// Opens the database, making or upgrading its tables.
    pub(crate) fn open(file: &Path) -> Result<Self> {
        let mut connection = Connection::open(file)?;
        schema::prepare(&mut connection)?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    /// Fails when the database cannot be read.
    pub(crate) fn check(&self) -> Result<()> {
        self.lock()
            .query_row("SELECT count(*) FROM rounds WHERE id = 0", [], |_| Ok(()))?;
        Ok(())
    }

    /// A thread that panicked has rolled its transaction back, so the connection is sound.
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds since 1970-01-01 UTC.
fn now() -> u64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
