use super::{Budget, Choice, Select};
use crate::Result;
use crate::fuse::candidates::Candidates;
use crate::fuse::signals::Needs;

/// At random.
pub struct Random;

impl Select for Random {
    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn choose(&self, candidates: &Candidates, budget: &Budget) -> Result<Vec<Choice>> {
        budget.random_without_highest(candidates, 0.0, "random", |_| 0.0)
    }
}
