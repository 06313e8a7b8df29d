use super::{Budget, Choice, Group, Select};
use crate::Result;
use crate::fuse::candidates::Candidates;
use crate::fuse::signals::{self, Needs};

/// Easy and ambiguous images together: of the number kept, `1 - ambiguous` are those with the lowest variability and the rest those with
/// the highest (FuseGen, Zou et al. 2024, section 3.3).
pub struct Cartography {
    /// The share of images with the highest variability, 0 to 1. FuseGen: 0.5.
    pub ambiguous: f64,
}

impl Default for Cartography {
    fn default() -> Self {
        Self { ambiguous: 0.5 }
    }
}

impl Cartography {
    /// `take` images of a group.
    pub(super) fn of_group(
        &self,
        candidates: &Candidates,
        agreement: &signals::Agreement,
        group: &Group,
        take: usize,
        seed: u64,
    ) -> Vec<Choice> {
        let ranked = candidates.ranked(seed, &group.members, |i| agreement.variability(i));
        let take = take.min(ranked.len());
        let ambiguous = (self.ambiguous * take as f64).round() as usize;
        let easy = ranked[..take - ambiguous].iter();
        let easy = easy.map(|row| Choice::new(*row, "easy of cartography"));
        let rest = ranked[ranked.len() - ambiguous..].iter();
        let rest = rest.map(|row| Choice::new(*row, "ambiguous of cartography"));
        easy.chain(rest).collect()
    }
}

impl Select for Cartography {
    fn needs(&self) -> Needs {
        Needs {
            agreement: true,
            ..Needs::default()
        }
    }

    fn choose(&self, candidates: &Candidates, budget: &Budget) -> Result<Vec<Choice>> {
        let agreement = candidates.signals.agreement()?;
        budget
            .each(|group| Ok(self.of_group(candidates, agreement, group, group.keep, budget.seed)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{budget, pool};
    use super::*;

    #[test]
    fn half_is_of_either_end() {
        let folder = tempfile::tempdir().unwrap();
        let candidates = pool(folder.path(), 40);
        let budget = budget(&candidates, 0.5, 1);
        let choices = Cartography::default().choose(&candidates, &budget).unwrap();
        let ambiguous = choices.iter().filter(|c| c.reason.starts_with("ambiguous"));
        assert_eq!((choices.len(), ambiguous.count()), (20, 10));
    }
}
