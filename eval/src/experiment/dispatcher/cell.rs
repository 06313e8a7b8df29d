//! One run: from the journal, or measured and kept there.

use super::Dispatcher;
use crate::error::told;
use crate::experiment::told_apart::ToldApart;
use crate::experiment::work::Work;
use crate::journal::{Cell, CellKey, Outcome};
use crate::{Error, Result};
use std::sync::atomic::Ordering;

impl Dispatcher<'_, '_> {
    /// A run's outcome from the journal, or run now and kept there; with its error, where it failed now.
    pub(super) fn cell(&self, place: usize) -> Result<(Outcome, Option<(CellKey, Error)>)> {
        let queue = self.queue;
        let dealt = self.dealt(self.seed_of(place))?;
        let method = self.method(place);
        let seed = queue.experiment.setting.seeds[self.seed_of(place)];
        let key = queue.experiment.key(method, seed, &dealt.seen_by(method))?;
        if let Some(cell) = queue.journal.find(&key)? {
            return Ok((cell.outcome, None));
        }
        let interrupted = || Error::Cancelled { kept: 0 };
        if queue.cancel.load(Ordering::Relaxed) {
            return Err(interrupted());
        }
        let setting = &queue.experiment.setting;
        let told_apart = ToldApart {
            inner: queue.observer,
            seed,
        };
        let work = Work {
            federation: &dealt.federation,
            test: queue.test,
            recipe: &setting.recipe_of(&method.card().name),
            simulation: setting.simulation,
            seed,
            jobs: self.jobs,
            observer: if self.jobs > 1 {
                &told_apart
            } else {
                queue.observer
            },
            cancel: queue.cancel,
        };
        let (outcome, failure) = match work.run(method) {
            Ok(done) => (Outcome::Done(Box::new(done)), None),
            Err(_) if queue.cancel.load(Ordering::Relaxed) => return Err(interrupted()),
            Err(error) => {
                let reason = told(&error);
                let name = method.card().name;
                let trial = queue.trial.map_or_else(String::new, |rate| {
                    format!(", trial of learning rate {rate}")
                });
                let text = format!("{name}, seed {seed}{trial}: {reason}");
                queue.observer.warn(&text);
                if queue.trial.is_some() && !error.is_divergence() {
                    return Err(error);
                }
                (Outcome::Failed { reason }, Some(error))
            }
        };
        let cell = Cell { key, outcome };
        queue.journal.keep(&cell)?;
        let failure = failure.map(|error| (cell.key, error));
        Ok((cell.outcome, failure))
    }
}
