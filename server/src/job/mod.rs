//! The jobs of closed rounds, one after the other on a thread of their own.

mod fusion;
mod stages;
mod synthesis;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use promptfed_prompts::protocol::{RoundId, RoundState};
use promptfed_synth::registry::Engines;

use crate::data_folder::DataFolder;
use crate::store::Store;
use crate::{Error, Result};

/// How long the runner waits before it asks a failing database again.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What the rest of the server sees of the job runner; cloning is cheap.
///
/// The queue itself is the store: rounds in state `queued`. So a restart finds its work again by looking.
#[derive(Clone)]
pub(crate) struct Jobs {
    wake: SyncSender<()>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stopping: AtomicBool,
    current: Mutex<Option<Current>>,
}

/// The job in work.
struct Current {
    round: RoundId,
    progress: RoundState,
    warnings: Vec<String>,
    interrupt: Arc<AtomicBool>,
}

impl Jobs {
    /// Tells the runner that a round was queued.
    pub(crate) fn wake(&self) {
        // A full channel means that the runner is about to look anyway.
        let _ = self.wake.try_send(());
    }

    /// Interrupts the job of this round if it is in work.
    pub(crate) fn cancel(&self, round: RoundId) {
        if let Some(current) = self.shared.lock().as_ref().filter(|job| job.round == round) {
            current.interrupt.store(true, Ordering::Relaxed);
        }
    }

    /// How far the job of this round is, and what it warns of, if it is in work.
    pub(crate) fn progress(&self, round: RoundId) -> Option<(RoundState, Vec<String>)> {
        let current = self.shared.lock();
        current
            .as_ref()
            .filter(|job| job.round == round)
            .map(|job| (job.progress.clone(), job.warnings.clone()))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

/// The thread that works on jobs.
pub(crate) struct JobRunner {
    jobs: Jobs,
    thread: JoinHandle<()>,
}

impl JobRunner {
    /// Starts the thread; it goes on with what an earlier server left unfinished.
    pub(crate) fn start(
        store: Arc<Store>,
        folder: Arc<DataFolder>,
        engines: Engines,
    ) -> Result<Self> {
        let (wake, woken) = sync_channel(1);
        let shared = Arc::new(Shared::default());
        let worker = Worker {
            store,
            folder,
            engines,
            shared: Arc::clone(&shared),
        };
        let thread = thread::Builder::new()
            .name("promptfed-jobs".to_owned())
            .spawn(move || worker.work(&woken))?;
        Ok(Self {
            jobs: Jobs { wake, shared },
            thread,
        })
    }

    pub(crate) fn jobs(&self) -> Jobs {
        self.jobs.clone()
    }

    /// Interrupts the job in work, which stays queued for the next server, and waits for the thread.
    ///
    /// Training is interrupted within a batch and is made again from the images that are there. That of task models cannot be: its thread
    /// is left to end alone and keeps the data folder locked until then.
    pub(crate) fn stop(self) {
        self.jobs.shared.stopping.store(true, Ordering::Relaxed);
        if let Some(current) = self.jobs.shared.lock().as_ref() {
            current.interrupt.store(true, Ordering::Relaxed);
        }
        self.jobs.wake();
        while !self.thread.is_finished() {
            let fusing = |job: &Current| matches!(job.progress, RoundState::Fusing { .. });
            if self.jobs.shared.lock().as_ref().is_some_and(fusing) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.thread.join();
    }
}

/// What the thread owns. It keeps the data folder locked for as long as it may write there.
struct Worker {
    store: Arc<Store>,
    folder: Arc<DataFolder>,
    engines: Engines,
    shared: Arc<Shared>,
}

impl Worker {
    fn work(&self, woken: &Receiver<()>) {
        while !self.shared.stopping() {
            match self.store.next_queued() {
                Ok(Some(round)) => self.attempt(round),
                Ok(None) => {
                    if woken.recv().is_err() {
                        return;
                    }
                }
                Err(error) => self.pause(&error, woken),
            }
        }
    }

    /// Works on one round; whatever happens, the thread lives on.
    fn attempt(&self, round: RoundId) {
        let interrupt = Arc::new(AtomicBool::new(false));
        *self.shared.lock() = Some(Current {
            round,
            progress: RoundState::Queued,
            warnings: Vec::new(),
            interrupt: Arc::clone(&interrupt),
        });
        // A round cancelled, or a stop asked for, before `current` was set would otherwise go unseen.
        let wanted = !self.shared.stopping()
            && matches!(self.store.next_queued(), Ok(Some(r)) if r == round);
        if wanted {
            let outcome = catch_unwind(AssertUnwindSafe(|| self.run(round, &interrupt)));
            let outcome = outcome.unwrap_or_else(|panic| Err(Error::Panic(panic_text(&*panic))));
            if let Err(error) = outcome {
                tracing::error!(%round, %error, "job failed");
                if let Err(error) = self.store.fail(round, &error.to_string()) {
                    tracing::error!(%round, %error, "the failure could not be recorded");
                    thread::sleep(PAUSE_AFTER_FAILURE);
                }
            }
        }
        *self.shared.lock() = None;
    }

    fn pause(&self, error: &Error, woken: &Receiver<()>) {
        tracing::error!(%error, "the job queue cannot be read");
        let _ = woken.recv_timeout(PAUSE_AFTER_FAILURE);
    }

    /// Adds what is not told yet of the round in work; several engines have much to say alike.
    fn warn(&self, warnings: Vec<String>) {
        if let Some(current) = self.shared.lock().as_mut() {
            for warning in warnings {
                if !current.warnings.contains(&warning) {
                    current.warnings.push(warning);
                }
            }
        }
    }

    fn report(&self, progress: RoundState) {
        if let Some(current) = self.shared.lock().as_mut() {
            current.progress = progress;
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
