//! A job whose images workers draw, in this process's folder: who asks them, and takes up what they made.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use promptfed_files::OwnFolder;
use promptfed_prompts::ContentHash;

use super::draw::Artist;
use super::drawn::Drawn;
use super::draws::Draws;
use super::orders::{Order, Orders};
use super::parcel::unpack;
use super::plan::PlannedImage;
use super::record::JobRecord;
use super::work::Work;
use crate::queue::{
    Asked, LARGEST_SHARD, LEAST_SHARD, Ledger, Moment, Needs, Objects, Policy, ShardId, State,
};
use crate::service::wait;
use crate::{Error, Result};

/// The SQLite file of the ledger, among what does not stay.
const LEDGER: &str = "shards.sqlite";

/// The folder of what workers made, among what does not stay.
pub(super) const OBJECTS: &str = "objects";

/// How often it is looked whether a shard is drawn.
const LOOK: Duration = Duration::from_millis(20);

/// How a job is shared among workers; never changes its images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// Images of a shard, 32 to 256.
    pub shard: u32,
    /// How many shards workers may be ahead of the manifest, 1 or more: so much waits in the folder for its place.
    pub ahead: usize,
    /// How long leases last, and when a shard is given up.
    pub policy: Policy,
}

impl Default for Sharing {
    /// Shards of 32 images, 64 ahead.
    fn default() -> Self {
        Self {
            shard: LEAST_SHARD,
            ahead: 64,
            policy: Policy::default(),
        }
    }
}

impl Sharing {
    /// Checks the numbers before any work is done.
    pub(super) fn validate(&self) -> Result<()> {
        let fault = if !(LEAST_SHARD..=LARGEST_SHARD).contains(&self.shard) {
            format!(
                "shards of {} images; ask for {LEAST_SHARD} to {LARGEST_SHARD}",
                self.shard
            )
        } else if self.ahead == 0 {
            "0 shards ahead; ask for 1 or more".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::Spec(fault))
    }
}

/// The workers of a job.
pub(super) struct Workers<'a> {
    ledger: Ledger,
    objects: Objects,
    needs: Needs,
    sharing: Sharing,
    /// Whether each picture holds its generation record.
    records: bool,
    cancel: &'a AtomicBool,
    orders: Orders,
    has_ended: bool,
}

impl<'a> Workers<'a> {
    /// Opens the ledger of a job of which `done` images are in the manifest.
    pub(super) fn of(
        folder: &OwnFolder,
        record: &JobRecord,
        sharing: Sharing,
        records: bool,
        done: u64,
        cancel: &'a AtomicBool,
    ) -> Result<Self> {
        let job = serde_json::to_vec(record).map_err(std::io::Error::from)?;
        let file = folder.scratch(LEDGER)?;
        let mut ledger = Ledger::create(&file, ContentHash::of(&job), sharing.policy)?;
        ledger.forget(0..done)?;
        Ok(Self {
            ledger,
            objects: Objects::in_folder(&folder.scratch(OBJECTS)?)?,
            needs: Needs::exactly(&record.engine),
            sharing,
            records,
            cancel,
            orders: Orders::of(folder.root()),
            has_ended: false,
        })
    }

    /// Takes up what was made of a shard, if it is there and whole; else it is drawn again.
    fn take_up(&mut self, id: ShardId, batch: &[PlannedImage]) -> Result<Option<Vec<Drawn>>> {
        let shard = match self.ledger.get(id)? {
            Some(shard) => shard,
            None => {
                self.ask(batch)?;
                return Ok(None);
            }
        };
        match shard.state {
            State::Waiting { .. } | State::Leased(_) => Ok(None),
            State::SetAside => Err(Error::SetAside {
                first: id,
                images: shard.images,
                reasons: shard.reasons(),
            }),
            State::Done(made) => {
                let bytes = self.objects.get(id, made)?;
                let drawn = bytes.and_then(|bytes| unpack(&bytes, batch));
                if drawn.is_none() {
                    // Who is too late with it changes nothing.
                    let _ = self.ledger.lose_object(id, made.fence, now())?;
                }
                Ok(drawn)
            }
        }
    }
}

impl Draws for Workers<'_> {
    fn ahead(&self) -> usize {
        self.sharing.ahead
    }

    /// Shards begin at multiples of their size, so that a run that goes on asks for the same ones.
    fn batch(&self, first: u64) -> u64 {
        let size = u64::from(self.sharing.shard);
        size - first % size
    }

    fn ask(&mut self, batch: &[PlannedImage]) -> Result<()> {
        let Some(first) = batch.first() else {
            return Ok(());
        };
        let work = Work::encode(batch, self.records).map_err(std::io::Error::from)?;
        let asked = Asked {
            id: first.index,
            images: batch.len() as u32,
            needs: &self.needs,
            work: &work,
        };
        self.ledger.add(&asked, now())
    }

    fn draw(&mut self, _artist: &mut Artist<'_>, batch: &[PlannedImage]) -> Result<Vec<Drawn>> {
        let Some(first) = batch.first() else {
            return Ok(Vec::new());
        };
        loop {
            if let Some(drawn) = self.take_up(first.index, batch)? {
                return Ok(drawn);
            }
            let is_told = self.orders.order() == Some(Order::Cancel);
            if is_told || !wait(LOOK, self.cancel) {
                return Err(Error::Cancelled);
            }
        }
    }

    fn settled(&mut self, batch: &[PlannedImage]) -> Result<()> {
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else {
            return Ok(());
        };
        if let Some(shard) = self.ledger.get(first.index)? {
            self.objects.remove(first.index, shard.fence)?;
        }
        self.ledger.forget(first.index..last.index + 1)
    }

    fn end(&mut self, finished: bool) -> Result<()> {
        self.ledger.end(finished)?;
        self.has_ended = true;
        Ok(())
    }
}

impl Drop for Workers<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            // Workers that are not told see that nobody has the folder.
            let _ = self.ledger.end(false);
        }
    }
}

/// Milliseconds since 1970 as a moment of the queue.
pub(super) fn now() -> Moment {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Duration::from_millis(since.unwrap_or_default().as_millis() as u64)
}

/// Removes what workers share from the folder of a finished job, also where its last run had none.
pub(super) fn discard(folder: &OwnFolder) -> Result<()> {
    for name in [LEDGER, "shards.sqlite-wal", "shards.sqlite-shm", OBJECTS] {
        folder.discard(name)?;
    }
    Ok(())
}

/// Where the ledger of a job lies.
pub(super) fn ledger_file(folder: &Path) -> PathBuf {
    folder.join(promptfed_files::SCRATCH).join(LEDGER)
}
