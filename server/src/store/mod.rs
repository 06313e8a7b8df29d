//! Everything the server must not lose, in one SQLite database.

mod activity;
mod attempts;
mod clients;
mod dropped;
mod enrolment;
mod erasure;
mod events;
mod keys;
mod members;
mod pool;
mod rounds;
mod schema;
mod seal;
mod sign_ins;
mod submissions;
mod trainings;
mod withdrawals;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags};

pub(crate) use activity::NumberedEvent;
pub(crate) use attempts::{Begun, Ended, Work};
pub(crate) use clients::{Invited, Registered};
pub(crate) use enrolment::Enrolled;
pub(crate) use erasure::Deleted;
pub(crate) use members::Excluded;
pub(crate) use rounds::Change;
pub(crate) use schema::{APPLICATION_ID, NEWEST_VERSION};
pub(crate) use sign_ins::DashboardToken;
pub(crate) use submissions::{NewSubmission, Stored, Submitted};
pub(crate) use trainings::{Asked, Draws, NewTraining, TrainingChange, TrainingPlanned, redrawn};
pub(crate) use withdrawals::Withdrawn;

use self::keys::Keys;
use crate::Result;
use crate::data_folder::close_to_others;

/// How long a request waits for what else writes to the database, as the erasure of what was deleted does.
const PATIENCE: Duration = Duration::from_secs(30);

/// The database, with the keys that lie beside it. Each method is one transaction and has reached the disk when it returns.
pub(crate) struct Store {
    /// What is asked with every request is not held up by those that write. It ends first: the last to end clears the journal away, which takes one
    /// that writes.
    reader: Mutex<Connection>,
    connection: Mutex<Connection>,
    file: PathBuf,
    keys: Keys,
}

impl Store {
    /// Opens the database, making or upgrading its tables.
    pub(crate) fn open(file: &Path) -> Result<Self> {
        // Before anything is in it, and before its journals are made, which take its mode.
        fs_err::OpenOptions::new()
            .create(true)
            .append(true)
            .open(file)?;
        close_to_others(file);
        let mut connection = Connection::open(file)?;
        schema::prepare(&mut connection)?;
        connection.busy_timeout(PATIENCE)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reader = Connection::open_with_flags(file, flags)?;
        Ok(Self {
            reader: Mutex::new(reader),
            connection: Mutex::new(connection),
            file: file.to_owned(),
            keys: Keys::beside(file),
        })
    }

    /// Fails when the database cannot be read.
    pub(crate) fn check(&self) -> Result<()> {
        self.read()
            .query_row("SELECT count(*) FROM rounds WHERE id = 0", [], |_| Ok(()))?;
        Ok(())
    }

    /// Fails when the database cannot be written to.
    pub(crate) fn check_writable(&self) -> Result<()> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        transaction.execute("INSERT OR REPLACE INTO chores VALUES ('nothing')", [])?;
        transaction.execute("DELETE FROM chores WHERE name = 'nothing'", [])?;
        transaction.commit()?;
        Ok(())
    }

    /// A thread that panicked has rolled its transaction back, so the connection is sound.
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// For what is only read, and quickly.
    fn read(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds since 1970-01-01 UTC.
pub(crate) fn now() -> u64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
