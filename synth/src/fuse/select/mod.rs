//! Ways to choose images, one file each; each takes groups of candidates and keeps so many of each.

mod agreement;
mod all;
mod cartography;
mod diversity;
mod duplicates;
mod influence;
mod mode;
mod outliers;
mod random;
mod variability;

pub use agreement::Agreement;
pub use all::All;
pub use cartography::Cartography;
pub use diversity::Diversity;
pub use duplicates::Duplicates;
pub use influence::{Influence, InfluenceOfCartography};
pub use mode::Mode;
pub use outliers::Outliers;
pub use random::Random;
pub use variability::{Ambiguous, Easy};

use super::candidates::Candidates;
use super::signals::Needs;
use crate::Result;

/// A way to choose images.
pub trait Select: Send + Sync {
    /// The signals it reads.
    fn needs(&self) -> Needs;

    /// Chooses images of every group of the budget, each at most once.
    ///
    /// # Errors
    /// If a signal is missing or its file cannot be read.
    fn choose(&self, candidates: &Candidates, budget: &Budget) -> Result<Vec<Choice>>;
}

/// How many images are kept of which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Candidates that are chosen from together, such as those of a class and a domain. No candidate is in two groups.
    pub groups: Vec<Group>,
    /// Seed of what is drawn at random.
    pub seed: u64,
}

/// Candidates of which some are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The candidates, ascending.
    pub members: Vec<usize>,
    /// How many are kept, at most as many as there are.
    pub keep: usize,
}

/// One chosen image.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The candidate.
    pub row: usize,
    /// Its weight in the training loss, above 0.
    pub weight: f32,
    /// Why it was chosen.
    pub reason: &'static str,
    /// The probabilities of all classes that training aims at, where labels are soft.
    pub targets: Option<Vec<f32>>,
}

impl Choice {
    fn new(row: usize, reason: &'static str) -> Self {
        Self {
            row,
            weight: 1.0,
            reason,
            targets: None,
        }
    }
}

impl Budget {
    /// Applies `choose` to every group and gives the choices in the candidates' order.
    fn each(&self, mut choose: impl FnMut(&Group) -> Result<Vec<Choice>>) -> Result<Vec<Choice>> {
        let mut choices = Vec::new();
        for group in &self.groups {
            choices.extend(choose(group)?);
        }
        choices.sort_by_key(|choice| choice.row);
        Ok(choices)
    }

    /// Keeps the candidates of every group whose score is lowest.
    fn lowest(
        &self,
        candidates: &Candidates,
        reason: &'static str,
        score: impl Fn(usize) -> f64,
    ) -> Result<Vec<Choice>> {
        self.each(|group| {
            let ranked = candidates.ranked(self.seed, &group.members, &score);
            let kept = ranked.into_iter().take(group.keep);
            Ok(kept.map(|row| Choice::new(row, reason)).collect())
        })
    }

    /// Keeps candidates of every group at random, after those whose score is highest were left out: `dose` of the group, but never so
    /// many that fewer are left than are to be kept.
    fn random_without_highest(
        &self,
        candidates: &Candidates,
        dose: f64,
        reason: &'static str,
        score: impl Fn(usize) -> f64,
    ) -> Result<Vec<Choice>> {
        self.each(|group| {
            let mut ranked = candidates.ranked(self.seed, &group.members, &score);
            let dropped = (dose * ranked.len() as f64).round() as usize;
            ranked.truncate(ranked.len().saturating_sub(dropped).max(group.keep));
            let drawn = candidates.drawn(self.seed, "keep", &ranked);
            let kept = drawn.into_iter().take(group.keep);
            Ok(kept.map(|row| Choice::new(row, reason)).collect())
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuse::candidates::Candidate;
    use crate::fuse::features::FeatureFile;
    use crate::fuse::signals;

    /// Candidates of two backends with all signals, the features in `folder`.
    pub(in crate::fuse) fn pool(folder: &std::path::Path, n: usize) -> Candidates {
        let images = (0..n).map(|i| Candidate {
            set: u32::from(i >= n / 2),
            row: (i % (n / 2).max(1)) as u64,
            class: (i % 2) as u32,
            domain: 0,
        });
        let mut candidates = Candidates::of(&["a", "b"], images.collect(), 2);
        let number = |i: usize, of: &str| {
            let bytes = *blake3::hash(format!("{of} {i}").as_bytes()).as_bytes();
            f32::from(u16::from_le_bytes([bytes[0], bytes[1]])) / 65_536.0
        };
        let own = (0..2 * n).map(|i| number(i, "own")).collect();
        candidates.signals = signals::Signals {
            agreement: Some(signals::Agreement::new(2, own, vec![0; 2 * n])),
            influence: Some((0..n).map(|i| number(i, "influence") - 0.5).collect()),
            outlying: Some((0..n).map(|i| number(i, "outlying")).collect()),
            features: Some(
                FeatureFile::of(
                    &folder.join("features"),
                    3,
                    &(0..3 * n)
                        .map(|i| number(i, "feature") - 0.5)
                        .collect::<Vec<_>>(),
                )
                .unwrap(),
            ),
        };
        candidates
    }

    pub(in crate::fuse) fn budget(candidates: &Candidates, share: f64, seed: u64) -> Budget {
        let group = |class: u32| {
            let members: Vec<usize> = (0..candidates.len())
                .filter(|&i| candidates.images()[i].class == class)
                .collect();
            Group {
                keep: (share * members.len() as f64).floor() as usize,
                members,
            }
        };
        Budget {
            groups: vec![group(0), group(1)],
            seed,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn every_mode_keeps_as_many_as_asked_each_once_with_a_positive_weight(
            n in 4usize..60, share in 0.1f64..=1.0, seed: u64,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let candidates = pool(folder.path(), n);
            let budget = budget(&candidates, share, seed);
            for name in Mode::NAMES {
                let mode: Mode = name.parse().unwrap();
                let choices = mode.select().choose(&candidates, &budget).unwrap();
                let expected = match mode {
                    Mode::All => n,
                    _ => budget.groups.iter().map(|g| g.keep).sum(),
                };
                prop_assert_eq!(choices.len(), expected, "{}", name);
                prop_assert!(choices.windows(2).all(|pair| pair[0].row < pair[1].row), "{}", name);
                prop_assert!(choices.iter().all(|c| c.weight > 0.0 && !c.reason.is_empty()));
                let again = mode.select().choose(&candidates, &budget).unwrap();
                prop_assert_eq!(choices, again);
            }
        }
    }
}
