//! The shards in SQL, the only truth: a SQLite file that several processes of one machine share.
//!
//! Every change is one transaction that reads the shard, changes it by the functions of `shard.rs`, and writes it where its fence is still
//! the one that was read. What was committed is on the disk.

mod rows;

use std::path::{Path, PathBuf};
use std::time::Duration;

use promptfed_prompts::ContentHash;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params,
};

use super::{
    Fence, Lease, Load, MadeObject, Moment, Needs, Offer, Policy, Shard, ShardId, Stale, WorkerId,
};
use crate::{Error, Result};

/// How long a process waits for others that write.
const PATIENCE: Duration = Duration::from_secs(30);

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS run (
        id     INTEGER PRIMARY KEY CHECK (id = 0),
        job    BLOB NOT NULL,
        policy TEXT NOT NULL,
        state  TEXT NOT NULL CHECK (state IN ('open', 'closed', 'finished')),
        -- The highest fence of shards that were forgotten: those of new ones begin after it, so that who is too late stays so.
        fence  INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE IF NOT EXISTS needs (id INTEGER PRIMARY KEY, needs TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE IF NOT EXISTS shards (
        id     INTEGER PRIMARY KEY,
        needs  INTEGER NOT NULL REFERENCES needs (id),
        images INTEGER NOT NULL,
        work   BLOB    NOT NULL,
        state  TEXT    NOT NULL CHECK (state IN ('waiting', 'leased', 'done', 'set-aside')),
        fence  INTEGER NOT NULL DEFAULT 0,
        losses INTEGER NOT NULL DEFAULT 0,
        -- Waiting: since when, and not to be given out before. Leased: until when. Milliseconds since 1970.
        since  INTEGER NOT NULL DEFAULT 0,
        due    INTEGER NOT NULL DEFAULT 0,
        worker INTEGER,
        hash   BLOB
    ) STRICT;
    CREATE INDEX IF NOT EXISTS shards_by_state ON shards (state, needs, id);
    CREATE TABLE IF NOT EXISTS failures (
        id     INTEGER PRIMARY KEY,
        shard  INTEGER NOT NULL,
        worker INTEGER NOT NULL,
        reason TEXT    NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS failures_by_shard ON failures (shard);
";

/// Whether anybody takes up what workers make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Somebody does, unless it was killed.
    Open,
    /// The run has ended before its job did.
    Closed,
    /// The job is done.
    Finished,
}

/// A shard that is to be drawn.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its name.
    pub id: ShardId,
    /// How many images it has.
    pub images: u32,
    /// What it needs.
    pub needs: &'a Needs,
    /// What a worker is told of it.
    pub work: &'a [u8],
}

/// A shard that a worker was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its name.
    pub id: ShardId,
    /// The lease.
    pub lease: Lease,
    /// What is to be drawn.
    pub work: Vec<u8>,
}

/// The ledger of one job.
pub struct Ledger {
    connection: Connection,
    file: PathBuf,
    policy: Policy,
}

impl Ledger {
    /// Opens the ledger of a job for who takes up what workers make, and makes it where it is missing. Shards of another job are forgotten,
    /// and those that were set aside wait again.
    ///
    /// # Errors
    /// A file that is no ledger, and what SQLite says.
    pub fn create(file: &Path, job: ContentHash, policy: Policy) -> Result<Self> {
        let begin = || -> rusqlite::Result<Connection> {
            let mut connection = connect(file, OpenFlags::default())?;
            // Stays in the file. Whoever joins leaves it alone: two who set it at once are told that the file is busy, without any wait.
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| {
                row.get::<_, String>(0)
            })?;
            let transaction = immediate(&mut connection)?;
            transaction.execute_batch(SCHEMA)?;
            let there: Option<[u8; 32]> = transaction
                .query_row("SELECT job FROM run", [], |row| row.get(0))
                .optional()?;
            if there != Some(*job.as_bytes()) {
                keep_fences(&transaction)?;
                transaction.execute_batch(
                    "DELETE FROM failures; DELETE FROM shards; DELETE FROM needs;",
                )?;
            }
            rows::retry_set_aside(&transaction)?;
            transaction.execute(
                "INSERT INTO run (id, job, policy, state) VALUES (0, ?1, ?2, 'open')
                 ON CONFLICT DO UPDATE SET job = excluded.job, policy = excluded.policy, state = 'open'",
                params![job.as_bytes(), serde_json::to_string(&policy).unwrap_or_default()],
            )?;
            transaction.commit()?;
            Ok(connection)
        };
        Ok(Self {
            connection: begin().map_err(|error| fault(file, &error))?,
            file: file.to_owned(),
            policy,
        })
    }

    /// Opens a ledger for a worker; `None` where there is none yet.
    ///
    /// # Errors
    /// A file that is no ledger, and what SQLite says.
    pub fn join(file: &Path) -> Result<Option<Self>> {
        if !file.exists() {
            return Ok(None);
        }
        let flags = OpenFlags::default() - OpenFlags::SQLITE_OPEN_CREATE;
        let read = || -> rusqlite::Result<Option<(Connection, String)>> {
            let connection = connect(file, flags)?;
            let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'run'";
            let is_made: u32 = connection.query_row(sql, [], |row| row.get(0))?;
            if is_made == 0 {
                return Ok(None);
            }
            let policy = connection
                .query_row("SELECT policy FROM run", [], |row| row.get(0))
                .optional()?;
            Ok(policy.map(|policy| (connection, policy)))
        };
        let found = match read() {
            // It went away meanwhile, or is being made.
            Err(error) if !file.exists() || is_busy(&error) => None,
            found => found.map_err(|error| fault(file, &error))?,
        };
        let Some((connection, policy)) = found else {
            return Ok(None);
        };
        let policy = serde_json::from_str(&policy).map_err(|error| Error::Ledger {
            file: file.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Some(Self {
            connection,
            file: file.to_owned(),
            policy,
        }))
    }

    /// The rules of the queue.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Whether anybody takes up what workers make.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn run_state(&self) -> Result<RunState> {
        let state: rusqlite::Result<String> =
            self.connection
                .query_row("SELECT state FROM run", [], |row| row.get(0));
        Ok(match self.told(state)?.as_str() {
            "open" => RunState::Open,
            "closed" => RunState::Closed,
            _ => RunState::Finished,
        })
    }

    /// Says that nobody takes up what workers make any more.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn end(&self, is_finished: bool) -> Result<()> {
        let state = if is_finished { "finished" } else { "closed" };
        let ended = self
            .connection
            .execute("UPDATE run SET state = ?1", [state]);
        self.told(ended).map(drop)
    }

    /// The shards that were set aside, in order.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn set_aside(&self) -> Result<Vec<(ShardId, Shard)>> {
        self.told(rows::set_aside(&self.connection))
    }

    /// Has the shards that were set aside wait again, as if they had never failed, and tells how many those are.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn retry_set_aside(&mut self) -> Result<u64> {
        let retry = |connection: &mut Connection| -> rusqlite::Result<u64> {
            let transaction = immediate(connection)?;
            let shards = rows::retry_set_aside(&transaction)?;
            transaction.commit()?;
            Ok(shards)
        };
        let retried = retry(&mut self.connection);
        self.told(retried)
    }

    /// Adds a shard. One of the same name stays as it is where the same is to be drawn; else it is forgotten, and whoever draws it is too
    /// late.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn add(&mut self, asked: &Asked<'_>, now: Moment) -> Result<()> {
        let added = rows::add(&mut self.connection, asked, now);
        self.told(added)
    }

    /// Gives a worker the first shard that it can draw; see [`Scheduler::lease`](super::Scheduler::lease).
    ///
    /// # Errors
    /// What SQLite says.
    pub fn lease(&mut self, worker: WorkerId, offer: &Offer, now: Moment) -> Result<Option<Grant>> {
        let leased = rows::lease(&mut self.connection, &self.policy, worker, offer, now);
        self.told(leased)
    }

    /// Extends a lease.
    ///
    /// # Errors
    /// What SQLite says; within, a lease that does not count any more.
    pub fn extend(
        &mut self,
        worker: WorkerId,
        id: ShardId,
        fence: Fence,
        now: Moment,
    ) -> Result<Result<Lease, Stale>> {
        let policy = self.policy;
        self.change(id, |shard| shard.extend(worker, fence, now, &policy))
    }

    /// Takes what was made of a shard.
    ///
    /// # Errors
    /// What SQLite says; within, a lease that does not count any more.
    pub fn complete(&mut self, id: ShardId, made: MadeObject) -> Result<Result<(), Stale>> {
        self.change(id, |shard| shard.complete(made))
    }

    /// Takes note that a worker could not draw a shard.
    ///
    /// # Errors
    /// What SQLite says; within, a lease that does not count any more.
    pub fn fail(
        &mut self,
        worker: WorkerId,
        id: ShardId,
        fence: Fence,
        reason: &str,
        now: Moment,
    ) -> Result<Result<(), Stale>> {
        let policy = self.policy;
        self.change(id, |shard| shard.fail(worker, fence, reason, now, &policy))
    }

    /// Gives a shard back undrawn.
    ///
    /// # Errors
    /// What SQLite says; within, a lease that does not count any more.
    pub fn release(&mut self, id: ShardId, fence: Fence, now: Moment) -> Result<Result<(), Stale>> {
        self.change(id, |shard| shard.release(fence, now))
    }

    /// Has a shard drawn again, because what was made of it is lost or damaged.
    ///
    /// # Errors
    /// What SQLite says; within, another object than that of this fence.
    pub fn lose_object(
        &mut self,
        id: ShardId,
        fence: Fence,
        now: Moment,
    ) -> Result<Result<(), Stale>> {
        let policy = self.policy;
        self.change(id, |shard| shard.lose_object(fence, now, &policy))
    }

    /// A shard.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn get(&self, id: ShardId) -> Result<Option<Shard>> {
        self.told(rows::read(&self.connection, id))
    }

    /// Forgets the shards of a range, which were taken up.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn forget(&mut self, ids: std::ops::Range<ShardId>) -> Result<()> {
        let range = [ids.start, ids.end];
        let forget = |connection: &mut Connection| -> rusqlite::Result<()> {
            let transaction = immediate(connection)?;
            keep_fences(&transaction)?;
            let sql = "DELETE FROM failures WHERE shard >= ?1 AND shard < ?2";
            transaction.execute(sql, range)?;
            transaction.execute("DELETE FROM shards WHERE id >= ?1 AND id < ?2", range)?;
            transaction.commit()
        };
        let forgotten = forget(&mut self.connection);
        self.told(forgotten)
    }

    /// What an offer lacks of everything that the shards need, in words; `None` where it can draw some of them, or none was added yet.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn unmet(&self, offer: &Offer) -> Result<Option<String>> {
        let needs = self.told(rows::needs(&self.connection))?;
        let mut unmet = needs.iter().map(|(_, needs)| needs.unmet(offer));
        match unmet.next() {
            Some(Some(first)) if unmet.all(|other| other.is_some()) => Ok(Some(first)),
            _ => Ok(None),
        }
    }

    /// The state of the queue in numbers.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn load(&self, now: Moment) -> Result<Load> {
        self.told(rows::load(&self.connection, now))
    }

    /// Changes a shard in a transaction of its own.
    fn change<T>(
        &mut self,
        id: ShardId,
        change: impl FnOnce(&mut Shard) -> Result<T, Stale>,
    ) -> Result<Result<T, Stale>> {
        let changed = |connection: &mut Connection| -> rusqlite::Result<Result<T, Stale>> {
            let transaction = immediate(connection)?;
            let Some(mut shard) = rows::read(&transaction, id)? else {
                return Ok(Err(Stale));
            };
            let (fence, told) = (shard.fence, shard.failures.len());
            let answer = change(&mut shard);
            if answer.is_err() || !rows::write(&transaction, id, fence, told, &shard)? {
                return Ok(answer.and(Err(Stale)));
            }
            transaction.commit()?;
            Ok(answer)
        };
        let changed = changed(&mut self.connection);
        self.told(changed)
    }

    fn told<T>(&self, result: rusqlite::Result<T>) -> Result<T> {
        result.map_err(|error| fault(&self.file, &error))
    }
}

/// Takes note of the fences of all shards before some are forgotten.
fn keep_fences(connection: &Connection) -> rusqlite::Result<()> {
    let sql = "UPDATE run SET fence = max(fence, (SELECT coalesce(max(fence), 0) FROM shards))";
    connection.execute(sql, []).map(drop)
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

fn fault(file: &Path, error: &rusqlite::Error) -> Error {
    Error::Ledger {
        file: file.to_owned(),
        reason: error.to_string(),
    }
}

fn connect(file: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

fn immediate(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}
