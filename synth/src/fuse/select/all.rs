use super::{Budget, Choice, Select};
use crate::Result;
use crate::fuse::candidates::Candidates;
use crate::fuse::signals::Needs;

/// Everything: the plain mixture.
pub struct All;

impl Select for All {
    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn choose(&self, _: &Candidates, budget: &Budget) -> Result<Vec<Choice>> {
        budget.each(|group| {
            let all = group.members.iter();
            Ok(all.map(|row| Choice::new(*row, "mixture")).collect())
        })
    }
}
