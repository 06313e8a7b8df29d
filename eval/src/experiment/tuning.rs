//! A learning rate for every method, chosen by images that the clients hold out.

use super::queue::{Measured, Queue};
use super::{Experiment, ExperimentData, Resources, Setting};
use crate::journal::{Journal, Outcome};
use crate::methods::Method;
use crate::observer::Observer;
use crate::{Error, Result, seeds};
use promptfed_data::{Dataset, stratified_split};
use promptfed_prompts::protocol::decimal;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

/// The share of the private images that rates are compared on.
const HELD_OUT: f64 = 0.2;

/// What one method made of each learning rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// The method.
    pub method: String,
    /// The rate that it is given.
    #[serde(serialize_with = "as_said")]
    pub chosen: f32,
    /// Every rate that was tried, from the lowest.
    pub scores: Vec<RateScore>,
}

/// What came of one learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RateScore {
    /// The peak learning rate.
    #[serde(serialize_with = "as_said")]
    pub rate: f32,
    /// The mean of the classes' accuracies on the images that were held out, in [0, 1]; none where training diverged.
    pub accuracy: Option<f64>,
}

/// Writes a rate in the digits that it was said in.
fn as_said<S: Serializer>(rate: &f32, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_f64(decimal(*rate))
}

impl Experiment {
    /// Runs each of `methods` with each learning rate, and says which rate did best. A fifth of the private images is held out, of each class and
    /// domain; the others are dealt to clients as the experiment says, with its first seed, and no test image is read. Each run is a cell of the
    /// journal. Of equals the lowest rate is taken, and the lowest too where all diverge.
    ///
    /// # Errors
    /// As [`Experiment::run`], but that training which diverges is a rate without a score, and whatever else fails is told at once and not kept;
    /// and if the private images are too few to hold some out.
    pub fn tune(
        &self,
        methods: &[&dyn Method],
        rates: &[f32],
        journal: &Journal,
        observer: &dyn Observer,
        cancel: &AtomicBool,
        resources: &Resources,
    ) -> Result<Vec<Tuned>> {
        let mut rates = rates.to_vec();
        rates.sort_by(f32::total_cmp);
        let mut scores: Vec<Vec<RateScore>> = methods.iter().map(|_| Vec::new()).collect();
        let mut trial = self.on_held_out()?;
        let test = trial.test(resources)?;
        for &rate in &rates {
            trial.setting.recipe.training.learning_rate = rate;
            let queue = Queue {
                experiment: &trial,
                methods: methods.to_vec(),
                test: &test,
                journal,
                observer,
                cancel,
                resources,
                trial: Some(rate),
            };
            let Measured { outcomes, .. } = queue.run()?;
            for (scores, outcome) in scores.iter_mut().zip(outcomes) {
                let accuracy = match outcome {
                    Outcome::Done(done) => Some(done.run.evaluation.tally().balanced_accuracy()),
                    // Nothing else is kept of trials.
                    Outcome::Failed { .. } => None,
                };
                scores.push(RateScore { rate, accuracy });
            }
        }
        let tuned = methods.iter().zip(scores).filter_map(|(method, scores)| {
            Some(Tuned {
                method: method.card().name,
                chosen: best(&scores)?,
                scores,
            })
        });
        Ok(tuned.collect())
    }

    /// The same on a part of the private images, with another part of them in place of the test images, and one seed.
    fn on_held_out(&self) -> Result<Self> {
        let first = *self.setting.seeds.first().ok_or(Error::NoSeeds)?;
        let (learned_from, held_out) = held_out(&self.data.private, first);
        if held_out.is_empty() {
            return Err(Error::NothingHeldOut {
                images: self.data.private.len(),
            });
        }
        let recipe = self.setting.recipe.clone();
        Ok(Self {
            data: ExperimentData {
                private: learned_from,
                test: held_out,
                ..self.data.clone()
            },
            setting: Setting::new(recipe, vec![first]),
        })
    }

    /// The same in which each method has the rate that was chosen for it.
    #[must_use]
    pub fn with_rates(&self, tuned: &[Tuned]) -> Self {
        let rates = tuned
            .iter()
            .map(|tuned| (tuned.method.clone(), tuned.chosen));
        let mut experiment = self.clone();
        experiment.setting.rates = rates.collect::<BTreeMap<_, _>>();
        experiment
    }
}

/// The lowest of those that did best; `None` of none.
fn best(scores: &[RateScore]) -> Option<f32> {
    let of = |score: &RateScore| score.accuracy.unwrap_or(f64::NEG_INFINITY);
    let better = |best: RateScore, next: RateScore| {
        if of(&next) > of(&best) { next } else { best }
    };
    scores.iter().copied().reduce(better).map(|best| best.rate)
}

/// What is learned from and what is held out, of each class and domain.
fn held_out(private: &Dataset, seed: u64) -> (Dataset, Dataset) {
    let domains = private.domain_names.len().max(1) as u32;
    let samples = private.samples.iter();
    let kinds = samples.map(|sample| {
        let kind = sample.label.wrapping_mul(domains);
        kind.wrapping_add(sample.domain.unwrap_or(0))
    });
    let kinds: Vec<u32> = kinds.collect();
    let (kept, held) = stratified_split(&kinds, HELD_OUT, seeds::derive(seed, "tuning"));
    (private.subset(&kept), private.subset(&held))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_of_the_best_is_chosen() {
        let of = |scores: &[(f32, Option<f64>)]| {
            let score = |&(rate, accuracy): &(f32, Option<f64>)| RateScore { rate, accuracy };
            best(&scores.iter().map(score).collect::<Vec<_>>())
        };
        assert_eq!(
            of(&[(0.01, Some(0.4)), (0.03, Some(0.6)), (0.1, Some(0.6))]),
            Some(0.03)
        );
        assert_eq!(of(&[(0.01, Some(0.4)), (0.1, None)]), Some(0.01));
        assert_eq!(of(&[(0.01, None), (0.1, None)]), Some(0.01));
        assert_eq!(of(&[]), None);
    }
}
