//! What deletions leave to do, on a thread of its own: a database that is written anew keeps nobody waiting for an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::{Connection, InterruptHandle};

use crate::Result;
use crate::data_folder::DataFolder;
use crate::store::Store;

/// How long to wait before what failed is tried again: longer each time, up to the second.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The thread, which begins with what an earlier server left.
pub(super) struct Eraser {
    wake: SyncSender<()>,
    stopping: Arc<AtomicBool>,
    interrupt: InterruptHandle,
    thread: JoinHandle<()>,
}

impl Eraser {
    pub(super) fn start(store: Arc<Store>, folder: Arc<DataFolder>) -> Result<Self> {
        let connection = store.eraser()?;
        let interrupt = connection.get_interrupt_handle();
        let (wake, woken) = sync_channel(1);
        let stopping = Arc::new(AtomicBool::new(false));
        let work = Work {
            store,
            folder,
            connection,
            stopping: Arc::clone(&stopping),
        };
        let thread = thread::Builder::new()
            .name("promptfed-eraser".to_owned())
            .spawn(move || work.run(&woken))?;
        Ok(Self {
            wake,
            stopping,
            interrupt,
            thread,
        })
    }

    /// What tells the thread that a round was deleted.
    pub(super) fn waker(&self) -> SyncSender<()> {
        self.wake.clone()
    }

    /// Interrupts what it does, which the next server does again, and waits for its end.
    pub(super) fn stop(self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.interrupt.interrupt();
        let _ = self.wake.try_send(());
        let _ = self.thread.join();
    }
}

struct Work {
    store: Arc<Store>,
    folder: Arc<DataFolder>,
    connection: Connection,
    stopping: Arc<AtomicBool>,
}

impl Work {
    fn run(&self, woken: &Receiver<()>) {
        let mut pause = FIRST_PAUSE;
        while !self.stopping.load(Ordering::Relaxed) {
            let is_done = match self.erase() {
                Ok(is_done) => {
                    if !is_done {
                        tracing::warn!(
                            "another program reads the database, whose files keep deleted prompts until it has ended"
                        );
                    }
                    is_done
                }
                Err(_) if self.stopping.load(Ordering::Relaxed) => return,
                Err(error) => {
                    tracing::error!(%error, "what was deleted could not be erased; it is tried again");
                    false
                }
            };
            if is_done {
                pause = FIRST_PAUSE;
                if woken.recv().is_err() {
                    return;
                }
            } else {
                if woken.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
                    return;
                }
                pause = LONGEST_PAUSE.min(pause * 2);
            }
        }
    }

    /// Erases what deleted rounds have left in folders and in the database.
    fn erase(&self) -> Result<bool> {
        // One that fails is not in the way of the other.
        let swept = self
            .folder
            .sweep(|round, discard| self.store.unless_there(round, discard));
        let is_done = self.store.erase(&self.connection)?;
        swept.map(|()| is_done)
    }
}
