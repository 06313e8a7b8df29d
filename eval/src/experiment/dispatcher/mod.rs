//! Who runs what: what the threads of a queue share.

mod cell;
mod dealt;

use super::queue::{Measured, Queue};
use super::settings::decoding;
use crate::federation::Federation;
use crate::journal::{CellKey, Outcome};
use crate::methods::Method;
use crate::observer::Task;
use crate::{Error, Result};
use dealt::Dealt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Hands out a queue's runs, and takes what they come to.
///
/// A seed's federation is dealt when the first of its runs needs it and dropped after the last. At most one seed more than there are runs at a time is
/// open, which bounds the memory: a run of a further seed waits until one of these is done.
pub(super) struct Dispatcher<'q, 'a> {
    queue: &'q Queue<'a>,
    /// Runs at the same time.
    jobs: usize,
    state: Mutex<State>,
    changed: Condvar,
    /// By seed.
    dealt: Vec<Mutex<Option<Arc<Dealt>>>>,
    first: Mutex<Option<Arc<Federation>>>,
    task: Box<dyn Task>,
}

struct State {
    /// In their order: by seed, and of each seed by method.
    waiting: Vec<usize>,
    /// Runs of each seed that are not done.
    left: Vec<usize>,
    /// Seeds of which a run has begun, and some are left.
    open: Vec<usize>,
    /// Whether one is under way that works outside its own threads.
    elsewhere: bool,
    outcomes: Vec<Option<Outcome>>,
    failed: Vec<(usize, CellKey, Error)>,
    done: u64,
    /// Why no more are begun.
    ended: Option<Error>,
}

impl<'q, 'a> Dispatcher<'q, 'a> {
    pub(super) fn new(queue: &'q Queue<'a>, jobs: usize) -> Self {
        let seeds = queue.experiment.setting.seeds.len();
        let methods = queue.methods.len();
        let runs = seeds * methods;
        Self {
            queue,
            jobs,
            state: Mutex::new(State {
                waiting: (0..runs).collect(),
                left: vec![methods; seeds],
                open: Vec::new(),
                elsewhere: false,
                outcomes: (0..runs).map(|_| None).collect(),
                failed: Vec::new(),
                done: 0,
                ended: None,
            }),
            changed: Condvar::new(),
            dealt: (0..seeds).map(|_| Mutex::default()).collect(),
            first: Mutex::default(),
            task: queue.observer.begin("runs", runs as u64),
        }
    }

    /// Deals the first seed's federation, where no run needs it.
    pub(super) fn deal_first(&self) -> Result<()> {
        if !self.dealt.is_empty() {
            self.dealt(0)?;
        }
        Ok(())
    }

    /// Takes runs as long as there are some, on so many threads of its own.
    pub(super) fn on_own_threads(&self, threads: NonZeroUsize) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.get());
        match pool.build() {
            Ok(pool) => pool.install(|| self.take_all()),
            Err(error) => self.end(error.into()),
        }
    }

    /// Takes runs as long as there are some.
    pub(super) fn take_all(&self) {
        let _others_end_too = EndsOthers(self);
        while let Some(place) = self.next() {
            match self.cell(place) {
                Ok((outcome, failure)) => self.finish(place, outcome, failure),
                Err(error) => self.end(error),
            }
        }
    }

    /// What all of them came to, when they are done.
    ///
    /// # Errors
    /// What ended them before.
    pub(super) fn into_measured(self) -> Result<Measured> {
        let inner = self.state.into_inner();
        let state = inner.unwrap_or_else(PoisonError::into_inner);
        match state.ended {
            Some(Error::Cancelled { .. }) => {
                return Err(Error::Cancelled {
                    kept: self.queue.journal.count(),
                });
            }
            Some(error) => return Err(error),
            None => {}
        }
        let mut failed = state.failed;
        failed.sort_by_key(|(place, ..)| *place);
        let first = lock(&self.first).take();
        Ok(Measured {
            first: first.ok_or(Error::NoSeeds)?,
            outcomes: state.outcomes.into_iter().flatten().collect(),
            failed: failed
                .into_iter()
                .map(|(_, key, error)| (key, error))
                .collect(),
        })
    }

    /// The next run; waits where all that are left have to: they work outside their own threads, as one does already, or too many seeds are open.
    fn next(&self) -> Option<usize> {
        let mut state = lock(&self.state);
        loop {
            if state.ended.is_some() || state.waiting.is_empty() {
                return None;
            }
            let has_room = state.open.len() <= self.jobs;
            let may_begin = |&place: &usize| {
                let waits_for_one = state.elsewhere && self.works_elsewhere(place);
                !waits_for_one && (has_room || state.open.contains(&self.seed_of(place)))
            };
            if let Some(at) = state.waiting.iter().position(may_begin) {
                let place = state.waiting.remove(at);
                let seed = self.seed_of(place);
                if !state.open.contains(&seed) {
                    state.open.push(seed);
                }
                state.elsewhere |= self.works_elsewhere(place);
                return Some(place);
            }
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn finish(&self, place: usize, outcome: Outcome, failure: Option<(CellKey, Error)>) {
        let seed = self.seed_of(place);
        let mut state = lock(&self.state);
        if self.works_elsewhere(place) {
            state.elsewhere = false;
        }
        let failure = failure.map(|(key, error)| (place, key, error));
        state.failed.extend(failure);
        if let Some(slot) = state.outcomes.get_mut(place) {
            *slot = Some(outcome);
        }
        state.left[seed] = state.left[seed].saturating_sub(1);
        if state.left[seed] == 0 {
            // Before another is begun in its place; nobody deals it any more.
            *lock(&self.dealt[seed]) = None;
            state.open.retain(|open| *open != seed);
        }
        state.done += 1;
        self.task.set(state.done);
        drop(state);
        self.changed.notify_all();
    }

    fn end(&self, error: Error) {
        let mut state = lock(&self.state);
        state.elsewhere = false;
        // What one of them was stopped by, the others are stopped by too.
        if state.ended.is_none() {
            state.ended = Some(error);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// A seed's federation; who needs it while another deals it waits.
    fn dealt(&self, place: usize) -> Result<Arc<Dealt>> {
        let mut slot = lock(&self.dealt[place]);
        if let Some(dealt) = slot.as_ref() {
            return Ok(Arc::clone(dealt));
        }
        let seed = self.queue.experiment.setting.seeds[place];
        let dealt = Arc::new(Dealt::of(self.queue, seed)?);
        if place == 0 {
            for note in decoding(&dealt.federation, self.queue.test).notes() {
                self.queue.observer.note(&note);
            }
            *lock(&self.first) = Some(Arc::clone(&dealt.federation));
        }
        *slot = Some(Arc::clone(&dealt));
        Ok(dealt)
    }

    fn seed_of(&self, place: usize) -> usize {
        place / self.queue.methods.len().max(1)
    }

    fn method(&self, place: usize) -> &dyn Method {
        self.queue.methods[place % self.queue.methods.len()]
    }

    fn works_elsewhere(&self, place: usize) -> bool {
        self.method(place).works_elsewhere()
    }
}

/// Where a run panics, nobody waits for it any longer.
struct EndsOthers<'d, 'q, 'a>(&'d Dispatcher<'q, 'a>);

impl Drop for EndsOthers<'_, '_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            lock(&self.0.state).waiting.clear();
            self.0.changed.notify_all();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
