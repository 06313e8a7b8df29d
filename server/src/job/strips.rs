//! Where in a round's plan its images are done, for each of its sources.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use promptfed_prompts::protocol::RoundId;
use promptfed_synth::JobProgress;
use promptfed_synth::job::Stretches;

use super::Worker;
use crate::store::Work;

/// Rounds of which it is kept; of others it is read from their manifests again.
const MOST_ROUNDS: usize = 64;

/// The plan of one source.
#[derive(Clone)]
pub(crate) struct Strip {
    /// What the engine is called in the round's plan.
    pub(crate) source: String,
    pub(crate) stretches: Stretches,
    /// The image of the plan that is drawn next; nothing where none is drawn.
    pub(crate) next: Option<u64>,
    /// Whether what is left was given up.
    pub(crate) is_set_aside: bool,
}

/// The strips of rounds.
#[derive(Default)]
pub(crate) struct Strips(Mutex<BTreeMap<RoundId, Vec<Strip>>>);

impl Strips {
    /// Those of a round, by the names of the sources; nothing where it is not known.
    pub(crate) fn of(&self, round: RoundId) -> Option<Vec<Strip>> {
        self.lock().get(&round).cloned()
    }

    /// Keeps what was read of a round, unless its job has told of it meanwhile.
    pub(crate) fn keep(&self, round: RoundId, strips: Vec<Strip>) {
        let mut rounds = self.lock();
        rounds.entry(round).or_insert(strips);
        forget_first(&mut rounds, round);
    }

    /// Takes note of how far a source is.
    fn tell(&self, round: RoundId, strip: Strip) {
        let mut rounds = self.lock();
        let of_round = rounds.entry(round).or_default();
        match of_round.binary_search_by(|there| there.source.cmp(&strip.source)) {
            Ok(at) => of_round[at] = strip,
            Err(at) => of_round.insert(at, strip),
        }
        forget_first(&mut rounds, round);
    }

    /// Takes note that a source was set aside.
    fn set_aside(&self, round: RoundId, source: &str, planned: u64) {
        let mut known = self.of(round).into_iter().flatten();
        let known = known.find(|strip| strip.source == source);
        let stretches = known.map_or_else(|| Stretches::of(planned), |strip| strip.stretches);
        self.tell(
            round,
            Strip {
                source: source.to_owned(),
                stretches,
                next: None,
                is_set_aside: true,
            },
        );
    }

    /// Takes note that no image of a round is drawn any more.
    fn stop(&self, round: RoundId) {
        if let Some(strips) = self.lock().get_mut(&round) {
            strips.iter_mut().for_each(|strip| strip.next = None);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RoundId, Vec<Strip>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets the oldest round but this one where there are too many.
fn forget_first(rounds: &mut BTreeMap<RoundId, Vec<Strip>>, but: RoundId) {
    let first = rounds.keys().copied().find(|round| *round != but);
    if let Some(first) = first.filter(|_| rounds.len() > MOST_ROUNDS) {
        rounds.remove(&first);
    }
}

impl Worker {
    /// Tells where in its plan a source of the round in work is.
    pub(super) fn tell_strip(&self, source: &str, at: &JobProgress) {
        if let Some(round) = self.round_in_work() {
            let strip = Strip {
                source: source.to_owned(),
                stretches: at.stretches.clone(),
                next: (at.done < at.total).then_some(at.done),
                is_set_aside: false,
            };
            self.shared.strips.tell(round, strip);
        }
    }

    /// Tells that a source of the round in work was set aside.
    pub(super) fn tell_set_aside(&self, source: &str, planned: u64) {
        if let Some(round) = self.round_in_work() {
            self.shared.strips.set_aside(round, source, planned);
        }
    }

    /// Tells that a job draws no more.
    pub(super) fn end_strips(&self, work: Work) {
        if work == Work::of_round(work.round) {
            self.shared.strips.stop(work.round);
        }
    }

    /// The round whose own images are made; images that are made again for a later training have no place in its plan.
    fn round_in_work(&self) -> Option<RoundId> {
        let work = self.shared.lock().as_ref().map(|job| job.work)?;
        (work == Work::of_round(work.round)).then_some(work.round)
    }
}
