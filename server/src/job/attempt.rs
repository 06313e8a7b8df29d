//! One attempt at a round's job: begun, worked on, and written down with its end.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use promptfed_prompts::protocol::{RoundId, RoundState};

use super::{Current, PAUSE_AFTER_FAILURE, Worker, failure};
use crate::Error;
use crate::store::{Begun, Ended, Work};

impl Worker {
    /// Works on one job; whatever happens, the thread lives on.
    pub(super) fn attempt(&self, work: Work) {
        let Work { round, training } = work;
        let interrupt = Arc::new(AtomicBool::new(false));
        *self.shared.lock() = Some(Current {
            work,
            progress: RoundState::Queued,
            warnings: Vec::new(),
            interrupt: Arc::clone(&interrupt),
            images: BTreeMap::new(),
            is_further: false,
        });
        // A round cancelled, or a stop asked for, before `current` was set would otherwise go unseen.
        if !self.shared.stopping() {
            match self.store.begin_attempt(work) {
                Ok(Begun::Attempt(attempt)) => {
                    tracing::info!(%round, training, attempt, "job begins");
                    self.work_on(work, &interrupt);
                }
                Ok(Begun::SetAside) => {
                    tracing::error!(%round, training, "job set aside: it ended the server too often");
                    self.shared.metrics.ended("poison");
                }
                Ok(Begun::NotQueued) => {}
                Err(error) => {
                    tracing::error!(%round, %error, "the attempt could not be recorded");
                    thread::sleep(PAUSE_AFTER_FAILURE);
                }
            }
        }
        *self.shared.lock() = None;
    }

    fn work_on(&self, work: Work, interrupt: &Arc<AtomicBool>) {
        let Work { round, training } = work;
        let outcome = catch_unwind(AssertUnwindSafe(|| match training {
            1 => self.run(round, interrupt),
            _ => self.train_again(work, interrupt),
        }));
        let outcome = outcome.unwrap_or_else(|panic| Err(Error::Panic(panic_text(&*panic))));
        self.end_strips(work);
        let made = self.shared.lock().as_ref().map_or(0, |job| {
            let of_engines = job.images.values();
            of_engines
                .map(|(found, now)| now.saturating_sub(*found))
                .sum()
        });
        self.shared.metrics.made(made);
        match outcome {
            Ok(Some(results)) => {
                tracing::info!(%round, training, images = made, "job done");
                self.record(work, &Ended::Done(&results), "done");
            }
            Ok(None) => {
                tracing::info!(%round, training, images = made, "job interrupted");
                self.record(work, &Ended::Stopped, "stopped");
            }
            Err(error) => {
                let ended = failure::ended(work, &error);
                let how = match ended {
                    Ended::Paused(_) => "paused",
                    _ => "failed",
                };
                tracing::error!(%round, training, %error, "job {how}");
                self.record(work, &ended, how);
            }
        }
    }

    /// Writes down how an attempt ended; what may pass, as a disk that is full, is waited for, so that the attempt is not made again for nothing.
    fn record(&self, work: Work, ended: &Ended<'_>, how: &'static str) {
        self.shared.metrics.ended(how);
        while let Err(error) = self.store.end_attempt(work, ended) {
            tracing::error!(round = %work.round, %error, "the end of an attempt could not be recorded");
            if self.shared.stopping() || matches!(ended, Ended::Stopped) {
                return;
            }
            thread::sleep(PAUSE_AFTER_FAILURE);
            if !error.may_pass() {
                // The attempt is made again, and counts as one that came to no end.
                return;
            }
        }
    }

    /// Tells how long a stage took.
    pub(super) fn worked(&self, round: RoundId, stage: &'static str, seconds: f64) {
        tracing::info!(%round, stage, seconds, "stage done");
        self.shared.metrics.worked(stage, seconds);
        if let Err(error) = self
            .store
            .note(round, &format!("{stage} took {seconds:.1} s"))
        {
            tracing::warn!(%round, %error, "a stage could not be recorded");
        }
    }

    /// Counts an engine's images; the first that no earlier attempt had made is written down, once for each attempt.
    pub(super) fn count(&self, engine: &str, images: u64) {
        let mut shared = self.shared.lock();
        let Some(current) = shared.as_mut() else {
            return;
        };
        let of_engine = current.images.entry(engine.to_owned());
        let (found, now) = of_engine.or_insert((images, images));
        *now = images;
        let is_first = images > *found && !current.is_further;
        current.is_further |= is_first;
        let work = current.work;
        drop(shared);
        if is_first && let Err(error) = self.store.progressed(work) {
            tracing::warn!(round = %work.round, %error, "progress could not be recorded");
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
