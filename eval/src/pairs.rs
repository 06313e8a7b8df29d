//! Whether two methods differ by more than chance would have it: on the same test images, with the same seeds.

use crate::comparison::MethodResult;
use crate::observer::Observer;
use crate::predictions::{RunPredictions, TestPredictions};
use crate::role::Role;
use crate::seeds;
use crate::statistics::{Interval, difference_interval, holm, mcnemar, sign_flip};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};

/// A corrected p of this or less is called more than chance.
const SIGNIFICANCE_LEVEL: f64 = 0.05;

/// The difference between two methods' accuracies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The method that all others are compared with.
    pub first: String,
    /// The other one.
    pub second: String,
    /// With how many seeds both were run.
    pub seeds: usize,
    /// On how many test images.
    pub images: usize,
    /// The first one's mean accuracy less the second one's, in [-1, 1].
    pub difference: f64,
    /// Its 95 % interval: over test images and seeds, or with one seed over test images alone.
    pub interval: Interval,
    /// How `p` was found.
    pub test: Test,
    /// The two-sided p of no difference between these models on such images, in (0, 1].
    pub p: f64,
    /// The same corrected for the number of pairs by Holm's method.
    pub p_corrected: f64,
}

/// How it is tested that there is no difference. Both ask how often names that are swapped on every image or not, at random, would give as
/// large a one; the models are taken as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// McNemar's exact test: one model each.
    #[serde(rename = "mcnemar")]
    McNemar,
    /// The sign-flip test on an image's mean over seeds and clients, by 10,000 draws.
    SignFlip,
}

impl Pair {
    /// Whether there is a difference by both measures: the interval excludes 0, and p is at most 0.05 among all pairs.
    pub fn is_clear(&self) -> bool {
        self.interval.excludes_zero() && self.p_corrected <= SIGNIFICANCE_LEVEL
    }

    /// The same difference as seen from `method`; `None` of one that is neither.
    fn seen_from(&self, method: &str) -> Option<Self> {
        if self.first == method {
            return Some(self.clone());
        }
        (self.second == method).then(|| Self {
            first: self.second.clone(),
            second: self.first.clone(),
            difference: -self.difference,
            interval: self.interval.negated(),
            ..self.clone()
        })
    }
}

/// The difference between two methods, as seen from the first one, where it is among `pairs`.
pub(crate) fn between(pairs: &[Pair], first: &str, second: &str) -> Option<Pair> {
    let is_it = |pair: &&Pair| {
        let names = [pair.first.as_str(), pair.second.as_str()];
        names.contains(&first) && names.contains(&second)
    };
    pairs.iter().find(is_it)?.seen_from(first)
}

/// The method that reaches the best mean test accuracy among the generative ones, or where there is none among the federated ones, beside every other
/// method that has a seed in common with it. Only those are chosen from whose predictions are known. `None` where `cancel` is set meanwhile.
pub fn pairs(
    methods: &[MethodResult],
    predictions: &TestPredictions,
    observer: &dyn Observer,
    cancel: &AtomicBool,
) -> Option<Vec<Pair>> {
    let best = |role| best(methods, role, predictions);
    let Some(best) = best(Role::Generative).or_else(|| best(Role::Federated)) else {
        return Some(Vec::new());
    };
    let others = methods.iter().filter(|method| method.name != best.name);
    let others: Vec<&MethodResult> = others.collect();
    let task = observer.begin("methods beside each other", others.len() as u64);
    let mut pairs: Vec<Pair> = Vec::with_capacity(others.len());
    for (done, other) in others.into_iter().enumerate() {
        if cancel.load(Ordering::Relaxed) {
            return None;
        }
        pairs.extend(pair(&best.name, &other.name, predictions));
        task.set(done as u64 + 1);
    }
    let p: Vec<f64> = pairs.iter().map(|pair| pair.p).collect();
    for (pair, corrected) in pairs.iter_mut().zip(holm(&p)) {
        pair.p_corrected = corrected;
    }
    Some(pairs)
}

fn best<'m>(
    methods: &'m [MethodResult],
    role: Role,
    predictions: &TestPredictions,
) -> Option<&'m MethodResult> {
    let able = methods.iter().filter(|method| {
        let is_known = predictions.has(&method.name);
        Role::of(&method.name) == role && method.accuracy().mean.is_finite() && is_known
    });
    able.reduce(|best, next| {
        if next.accuracy().mean > best.accuracy().mean {
            next
        } else {
            best
        }
    })
}

/// Not yet corrected.
fn pair(first: &str, second: &str, predictions: &TestPredictions) -> Option<Pair> {
    let images = &predictions.images;
    let run_of = |method: &str, seed: u64| {
        let mut runs = predictions.runs.iter();
        runs.find(|run| run.method == method && run.seed == seed)
    };
    let of_first = predictions.runs.iter().filter(|run| run.method == first);
    let shared: Vec<[&RunPredictions; 2]> = of_first
        .filter_map(|run| Some([run, run_of(second, run.seed)?]))
        .collect();
    let differences: Vec<Vec<f64>> = shared
        .iter()
        .map(|runs| {
            let [ours, theirs] = runs.map(|run| run.right(images));
            ours.iter().zip(theirs).map(|(a, b)| a - b).collect()
        })
        .collect();
    let drawn_by = |what: &str| seeds::derive(0, &format!("{what} {first} {second}"));
    let interval = difference_interval(&differences, drawn_by("bootstrap"))?.within(-1.0, 1.0);
    let by_image: Vec<f64> = (0..images.len())
        .map(|image| differences.iter().map(|row| row[image]).sum::<f64>() / shared.len() as f64)
        .collect();
    let is_one_each = shared.len() == 1 && shared[0].iter().all(|run| run.models.len() == 1);
    let (test, p) = if is_one_each {
        let count = |sign: f64| by_image.iter().filter(|d| **d * sign > 0.0).count() as u64;
        (Test::McNemar, mcnemar(count(1.0), count(-1.0)))
    } else {
        (
            Test::SignFlip,
            sign_flip(&by_image, drawn_by("permutation")),
        )
    };
    Some(Pair {
        first: first.to_owned(),
        second: second.to_owned(),
        seeds: shared.len(),
        images: images.len(),
        difference: by_image.iter().sum::<f64>() / images.len() as f64,
        interval,
        test,
        p,
        p_corrected: p,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predictions::{ModelPredictions, TestImage};

    fn images(count: usize) -> Vec<TestImage> {
        let image = |index: usize| TestImage {
            source: index.to_string(),
            label: 1,
        };
        (0..count).map(image).collect()
    }

    /// A model that has the first `right` images right, going round from `from`.
    fn model(count: usize, from: usize, right: usize) -> ModelPredictions {
        let is_right = |index: usize| (index + count - from) % count < right;
        ModelPredictions {
            client: None,
            classes: (0..count).map(|index| u16::from(is_right(index))).collect(),
            confidences: None,
        }
    }

    fn run(method: &str, seed: u64, models: Vec<ModelPredictions>) -> RunPredictions {
        RunPredictions {
            method: method.to_owned(),
            seed,
            models,
        }
    }

    #[test]
    fn one_seed_is_mcnemars_and_either_side_can_be_asked() {
        let predictions = TestPredictions {
            images: images(200),
            runs: vec![
                run("fgl", 1, vec![model(200, 0, 150)]),
                run("fedavg", 1, vec![model(200, 20, 100)]),
            ],
        };
        let pair = pair("fgl", "fedavg", &predictions).unwrap();
        assert_eq!(
            (pair.seeds, pair.images, pair.test),
            (1, 200, Test::McNemar)
        );
        assert!((pair.difference - 0.25).abs() < 1e-12);
        // The second's right images are all among the first's.
        assert!((pair.p - mcnemar(50, 0)).abs() < 1e-15);
        assert!(pair.is_clear(), "{pair:?}");
        let other = between(std::slice::from_ref(&pair), "fedavg", "fgl").unwrap();
        assert_eq!((other.first.as_str(), other.difference), ("fedavg", -0.25));
        assert_eq!(other.interval.negated(), pair.interval);
        assert_eq!(between(&[pair], "fedavg", "local"), None);
    }

    #[test]
    fn seeds_that_only_one_method_has_are_left_out_and_models_of_clients_are_averaged() {
        let predictions = TestPredictions {
            images: images(100),
            runs: vec![
                run("fgl", 1, vec![model(100, 0, 60)]),
                run("fgl", 2, vec![model(100, 0, 60)]),
                run("fgl", 3, vec![model(100, 0, 99)]),
                run("local", 2, vec![model(100, 0, 40), model(100, 50, 60)]),
                run("local", 1, vec![model(100, 0, 40), model(100, 50, 60)]),
            ],
        };
        let pair = pair("fgl", "local", &predictions).unwrap();
        assert_eq!((pair.seeds, pair.test), (2, Test::SignFlip));
        assert!((pair.difference - 0.1).abs() < 1e-12, "{pair:?}");
        let alone = TestPredictions {
            images: images(100),
            runs: vec![run("fgl", 1, vec![model(100, 0, 60)])],
        };
        assert_eq!(super::pair("fgl", "local", &alone), None);
    }

    #[test]
    fn a_difference_that_one_of_the_measures_does_not_see_is_not_clear() {
        let of = |low, p_corrected| Pair {
            first: "a".into(),
            second: "b".into(),
            seeds: 3,
            images: 100,
            difference: 0.1,
            interval: Interval { low, high: 0.2 },
            test: Test::SignFlip,
            p: 0.01,
            p_corrected,
        };
        assert!(of(0.05, 0.04).is_clear());
        assert!(!of(-0.01, 0.04).is_clear());
        assert!(!of(0.05, 0.06).is_clear());
    }
}
