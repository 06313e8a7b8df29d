use super::{Budget, Choice, Select};
use crate::Result;
use crate::fuse::candidates::Candidates;
use crate::fuse::signals::Needs;

const AGREEMENT: Needs = Needs {
    agreement: true,
    influence: false,
    features: false,
};

/// Those on which the backends' task models differ least.
pub struct Easy;

/// Those on which they differ most.
pub struct Ambiguous;

impl Select for Easy {
    fn needs(&self) -> Needs {
        AGREEMENT
    }

    fn choose(&self, candidates: &Candidates, budget: &Budget) -> Result<Vec<Choice>> {
        let agreement = candidates.signals.agreement()?;
        budget.lowest(candidates, "easy", |i| agreement.variability(i))
    }
}

impl Select for Ambiguous {
    fn needs(&self) -> Needs {
        AGREEMENT
    }

    fn choose(&self, candidates: &Candidates, budget: &Budget) -> Result<Vec<Choice>> {
        let agreement = candidates.signals.agreement()?;
        budget.lowest(candidates, "ambiguous", |i| -agreement.variability(i))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{budget, pool};
    use super::*;

    #[test]
    fn easy_and_ambiguous_take_opposite_ends() {
        let folder = tempfile::tempdir().unwrap();
        let candidates = pool(folder.path(), 40);
        let budget = budget(&candidates, 0.5, 1);
        let rows = |choices: Vec<Choice>| choices.into_iter().map(|c| c.row).collect::<Vec<_>>();
        let easy = rows(Easy.choose(&candidates, &budget).unwrap());
        let ambiguous = rows(Ambiguous.choose(&candidates, &budget).unwrap());
        assert!(easy.iter().all(|row| !ambiguous.contains(row)));
        let agreement = candidates.signals.agreement().unwrap();
        for group in &budget.groups {
            let of = |rows: &[usize]| -> Vec<f64> {
                let inside = rows.iter().filter(|row| group.members.contains(row));
                inside.map(|row| agreement.variability(*row)).collect()
            };
            let most_easy = of(&easy).into_iter().fold(0.0, f64::max);
            let least_ambiguous = of(&ambiguous).into_iter().fold(1.0, f64::min);
            assert!(most_easy <= least_ambiguous);
        }
    }
}
