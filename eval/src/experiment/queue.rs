//! Runs in parallel, each kept when it is done.

use super::Experiment;
use super::dispatcher::Dispatcher;
use super::resources::Resources;
use crate::federation::{Federation, TestSet};
use crate::journal::{CellKey, Journal, Outcome};
use crate::methods::Method;
use crate::observer::Observer;
use crate::{Error, Result};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What the runs of an experiment came to.
pub(super) struct Measured {
    /// The federation of the first seed.
    pub(super) first: Arc<Federation>,
    /// By seed, and of each seed by method.
    pub(super) outcomes: Vec<Outcome>,
    /// The runs that failed now, in the same order.
    pub(super) failed: Vec<(CellKey, Error)>,
}

/// All runs of an experiment.
pub(super) struct Queue<'a> {
    pub(super) experiment: &'a Experiment,
    pub(super) methods: Vec<&'a dyn Method>,
    pub(super) test: &'a TestSet,
    pub(super) journal: &'a Journal,
    pub(super) observer: &'a dyn Observer,
    pub(super) cancel: &'a AtomicBool,
    pub(super) resources: &'a Resources,
    /// The learning rate that the runs try, where they are trials: of these a failure is kept only where it is the rate's, and any other ends all.
    pub(super) trial: Option<f32>,
}

impl Queue<'_> {
    /// Runs all of them, but for what is in the journal already.
    ///
    /// # Errors
    /// If there is no seed, if data cannot be read, if the journal cannot be written, if `cancel` is set, or if a trial fails otherwise than by its
    /// learning rate.
    pub(super) fn run(&self) -> Result<Measured> {
        let runs = self.experiment.setting.seeds.len() * self.methods.len();
        let most = self.resources.jobs.get();
        let jobs = most.min(runs.max(1));
        let dispatcher = Dispatcher::new(self, jobs);
        if runs == 0 {
            dispatcher.deal_first()?;
        }
        if most == 1 {
            dispatcher.take_all();
        } else {
            // Fewer runs than there might be have more threads each.
            let all = most * self.resources.threads.get();
            let threads = NonZeroUsize::new(all / jobs).unwrap_or(NonZeroUsize::MIN);
            std::thread::scope(|scope| {
                for _ in 0..jobs {
                    scope.spawn(|| dispatcher.on_own_threads(threads));
                }
            });
        }
        dispatcher.into_measured()
    }
}
