use super::{Budget, Choice, Select};
use crate::Result;
use crate::fuse::candidates::Candidates;
use crate::fuse::signals::Needs;

/// At random, without those whose features lie farthest from every class's centre.
pub struct Outliers {
    /// The share that is left out of every group, 0 to 1.
    pub dose: f64,
}

impl Default for Outliers {
    fn default() -> Self {
        Self { dose: 0.1 }
    }
}

impl Select for Outliers {
    fn needs(&self) -> Needs {
        Needs {
            features: true,
            ..Needs::default()
        }
    }

    fn choose(&self, candidates: &Candidates, budget: &Budget) -> Result<Vec<Choice>> {
        let outlying = candidates.signals.outlying()?;
        budget.random_without_highest(candidates, self.dose, "no outlier", |i| {
            f64::from(outlying[i])
        })
    }
}
