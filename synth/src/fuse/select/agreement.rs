use super::{Budget, Choice, Select};
use crate::Result;
use crate::fuse::candidates::Candidates;
use crate::fuse::signals::Needs;

/// At random, without those that the *other* backends' task models believe least.
pub struct Agreement {
    /// The share that is left out of every group, 0 to 1.
    pub dose: f64,
}

impl Default for Agreement {
    fn default() -> Self {
        Self { dose: 0.1 }
    }
}

impl Select for Agreement {
    fn needs(&self) -> Needs {
        Needs {
            agreement: true,
            ..Needs::default()
        }
    }

    fn choose(&self, candidates: &Candidates, budget: &Budget) -> Result<Vec<Choice>> {
        let agreement = candidates.signals.agreement()?;
        budget.random_without_highest(candidates, self.dose, "agreed on", |i| {
            -agreement.confidence_of_others(candidates, i)
        })
    }
}
