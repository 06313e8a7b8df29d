//! What a run is told from outside: a file among what does not stay, at which the run and its workers look between batches.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use promptfed_files::{SCRATCH, is_locked, read_text};

use super::runner::JOB_FOLDER;
use super::sharing::ledger_file;
use crate::queue::Ledger;
use crate::service::wait;
use crate::{Error, Result};

/// The file, among what does not stay.
pub(super) const ORDER: &str = "order";

/// How often a run that pauses looks whether it is to go on.
const LOOK: Duration = Duration::from_millis(100);

/// Longest order, in bytes.
const LONGEST: u64 = 64;

/// What a run is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Draw nothing more until [`resume`], and keep the folder.
    Pause,
    /// End after the batch in hand; the job can go on later.
    Cancel,
}

impl Order {
    fn word(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Cancel => "cancel",
        }
    }
}

/// Where a run finds what it is told.
pub(super) struct Orders(PathBuf);

impl Orders {
    pub(super) fn of(folder: &Path) -> Self {
        Self(folder.join(SCRATCH).join(ORDER))
    }

    /// The order that stands; what is none of these words is none.
    pub(super) fn order(&self) -> Option<Order> {
        let text = read_text(&self.0, LONGEST).ok()?;
        let mut known = [Order::Pause, Order::Cancel].into_iter();
        known.find(|order| order.word() == text.trim())
    }

    /// Waits while a pause stands and `cancel` is not set, and tells whether the run is told to end.
    pub(super) fn heed(&self, cancel: &AtomicBool) -> bool {
        while self.order() == Some(Order::Pause) {
            if !wait(LOOK, cancel) {
                break;
            }
        }
        self.order() == Some(Order::Cancel)
    }

    /// Takes an order back, where there is one.
    fn withdraw(&self) -> Result<()> {
        match fs_err::remove_file(&self.0) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Whether a process runs the job in `folder`.
pub fn is_running(folder: &Path) -> bool {
    is_locked(&folder.join(JOB_FOLDER.lock))
}

/// The order that stands for the job in `folder`.
pub(super) fn standing_order(folder: &Path) -> Option<Order> {
    Orders::of(folder).order()
}

/// Gives the run of the job in `folder` an order, in place of one that stands. The run heeds it after the batch that it draws; its workers
/// finish the shards that they have in hand.
///
/// # Errors
/// A job that nobody runs, and disk.
pub fn order(folder: &Path, order: Order) -> Result<()> {
    let orders = Orders::of(folder);
    if is_running(folder) {
        fs_err::write(&orders.0, order.word())?;
        // One that ends takes the file away, so that it has heeded the order or needs none.
        if is_running(folder) || orders.order().is_none() {
            return Ok(());
        }
        orders.withdraw()?;
    }
    Err(refused(folder, "nobody runs this job"))
}

/// Has a run that pauses go on.
///
/// # Errors
/// A run that does not pause, and disk.
pub fn resume(folder: &Path) -> Result<()> {
    let orders = Orders::of(folder);
    if !is_running(folder) {
        return Err(refused(
            folder,
            "nobody runs this job; the `promptfed synth` command that began it goes on with it",
        ));
    }
    match orders.order() {
        Some(Order::Pause) => orders.withdraw(),
        Some(Order::Cancel) => Err(refused(
            folder,
            "its run is about to end; then the `promptfed synth` command that began it goes on with it",
        )),
        None => Err(refused(folder, "its run does not pause")),
    }
}

/// Has workers try the shards again that were set aside, and tells how many those are.
///
/// # Errors
/// A job without shards, which no workers draw, and what SQLite says.
pub fn retry(folder: &Path) -> Result<u64> {
    match Ledger::join(&ledger_file(folder))? {
        Some(mut ledger) => ledger.retry_set_aside(),
        None => Err(refused(
            folder,
            "it has no shards: no workers draw it, or it is done",
        )),
    }
}

fn refused(folder: &Path, reason: &str) -> Error {
    Error::Run {
        folder: folder.to_owned(),
        reason: reason.to_owned(),
    }
}
