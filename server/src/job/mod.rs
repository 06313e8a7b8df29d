//! The jobs of closed rounds, and later trainings of their images, one after the other on a thread of their own.

mod attempt;
mod eraser;
mod failure;
mod fusion;
mod loading;
mod memory;
mod redrawing;
mod stages;
mod strips;
mod synthesis;
mod training;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use promptfed_prompts::protocol::{RoundId, RoundState};
use promptfed_synth::registry::Engines;

use eraser::Eraser;
pub(crate) use memory::{in_gigabytes, most as most_memory, needed as needed_memory};
pub(crate) use strips::Strip;
use strips::Strips;

use crate::data_folder::DataFolder;
use crate::metrics::Metrics;
use crate::store::{Ended, Store, Work};
use crate::{Error, Result};

/// How long the runner waits before it asks a failing database again.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What the rest of the server sees of the job runner; cloning is cheap.
///
/// The queue itself is the store: rounds and trainings in state `queued`. So a restart finds its work again by looking.
#[derive(Clone)]
pub(crate) struct Jobs {
    wake: SyncSender<()>,
    wake_eraser: SyncSender<()>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stopping: AtomicBool,
    alive: AtomicBool,
    current: Mutex<Option<Current>>,
    strips: Strips,
    metrics: Metrics,
}

/// The job in work.
struct Current {
    work: Work,
    progress: RoundState,
    warnings: Vec<String>,
    interrupt: Arc<AtomicBool>,
    /// Images of each engine: those that were there when it began, and those that are there now.
    images: BTreeMap<String, (u64, u64)>,
    /// Whether images were made that no earlier attempt had made.
    is_further: bool,
}

impl Jobs {
    /// Tells the runner that a round or a training was queued.
    pub(crate) fn wake(&self) {
        // A full channel means that the runner is about to look anyway.
        let _ = self.wake.try_send(());
    }

    /// Tells the thread that erases what deleted rounds leave that there is more.
    pub(crate) fn wake_eraser(&self) {
        let _ = self.wake_eraser.try_send(());
    }

    /// Interrupts this job if it is in work.
    pub(crate) fn cancel(&self, work: Work) {
        if let Some(current) = self.shared.lock().as_ref().filter(|job| job.work == work) {
            current.interrupt.store(true, Ordering::Relaxed);
        }
    }

    /// How far this job is, and what it warns of, if it is in work.
    pub(crate) fn progress(&self, work: Work) -> Option<(RoundState, Vec<String>)> {
        let current = self.shared.lock();
        current
            .as_ref()
            .filter(|job| job.work == work)
            .map(|job| (job.progress.clone(), job.warnings.clone()))
    }

    /// Where in the plans of their sources the images of rounds are.
    pub(crate) fn strips(&self) -> &Strips {
        &self.shared.strips
    }

    /// Whether a job of this round is in work, or coming to its end.
    pub(crate) fn works_on(&self, round: RoundId) -> bool {
        self.shared
            .lock()
            .as_ref()
            .is_some_and(|job| job.work.round == round)
    }

    /// What the job in work does.
    pub(crate) fn stage(&self) -> Option<&'static str> {
        self.shared.lock().as_ref().map(|job| job.progress.name())
    }

    /// Whether the thread is there.
    pub(crate) fn are_alive(&self) -> bool {
        self.shared.alive.load(Ordering::Relaxed)
    }

    /// Whether the server is about to end.
    pub(crate) fn are_stopping(&self) -> bool {
        self.shared.stopping()
    }

    /// What was counted.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.shared.metrics
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
    store: Arc<Store>,
    thread: JoinHandle<()>,
    eraser: Eraser,
}

impl JobRunner {
    /// Starts the threads; they go on with what an earlier server left unfinished.
    pub(crate) fn start(
        store: Arc<Store>,
        folder: Arc<DataFolder>,
        engines: Engines,
    ) -> Result<Self> {
        let eraser = Eraser::start(Arc::clone(&store), Arc::clone(&folder))?;
        let (wake, woken) = sync_channel(1);
        let shared = Arc::new(Shared::default());
        shared.alive.store(true, Ordering::Relaxed);
        let worker = Worker {
            store: Arc::clone(&store),
            folder,
            engines,
            shared: Arc::clone(&shared),
        };
        let thread = thread::Builder::new()
            .name("promptfed-jobs".to_owned())
            .spawn(move || {
                let _alive = Alive(Arc::clone(&worker.shared));
                worker.work(&woken);
            })?;
        Ok(Self {
            jobs: Jobs {
                wake,
                wake_eraser: eraser.waker(),
                shared,
            },
            store,
            thread,
            eraser,
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
        self.eraser.stop();
        while !self.thread.is_finished() {
            let fusing = |job: &Current| matches!(job.progress, RoundState::Fusing { .. });
            let left = self
                .jobs
                .shared
                .lock()
                .as_ref()
                .filter(|job| fusing(job))
                .map(|job| job.work);
            if let Some(work) = left {
                // It was asked to end, and did not end the server.
                if let Err(error) = self.store.end_attempt(work, &Ended::Stopped) {
                    tracing::error!(round = %work.round, %error, "the end of an attempt could not be recorded");
                }
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.thread.join();
    }
}

/// Says that the thread has ended, however it did.
struct Alive(Arc<Shared>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.store(false, Ordering::Relaxed);
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
                Ok(Some(work)) => self.attempt(work),
                Ok(None) => {
                    if woken.recv().is_err() {
                        return;
                    }
                }
                Err(error) => self.pause(&error, woken),
            }
        }
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
