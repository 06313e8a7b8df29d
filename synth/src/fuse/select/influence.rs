use super::{Budget, Cartography, Choice, Select};
use crate::Result;
use crate::fuse::candidates::Candidates;
use crate::fuse::signals::{Needs, Sign};

/// Those with the best influence on held-out images.
pub struct Influence {
    /// Which end is kept.
    pub sign: Sign,
}

impl Influence {
    const fn reason(&self) -> &'static str {
        match self.sign {
            Sign::Helpful => "helpful",
            Sign::Largest => "largest influence",
        }
    }
}

impl Select for Influence {
    fn needs(&self) -> Needs {
        Needs {
            influence: true,
            ..Needs::default()
        }
    }

    fn choose(&self, candidates: &Candidates, budget: &Budget) -> Result<Vec<Choice>> {
        let influence = candidates.signals.influence()?;
        budget.lowest(candidates, self.reason(), |i| self.sign.score(influence[i]))
    }
}

/// The best by influence of the easy and ambiguous ones (FuseGen, Zou et al. 2024, section 3.3). Of n images of which k are kept,
/// cartography takes sqrt(n k) and influence k of those.
pub struct InfluenceOfCartography {
    /// Which are looked at.
    pub cartography: Cartography,
    /// Which of them are kept.
    pub influence: Influence,
}

impl Select for InfluenceOfCartography {
    fn needs(&self) -> Needs {
        self.cartography.needs().or(self.influence.needs())
    }

    fn choose(&self, candidates: &Candidates, budget: &Budget) -> Result<Vec<Choice>> {
        let signals = &candidates.signals;
        let (agreement, influence) = (signals.agreement()?, signals.influence()?);
        budget.each(|group| {
            let between = (group.members.len() as f64 * group.keep as f64)
                .sqrt()
                .ceil() as usize;
            let take = between.max(group.keep);
            let looked_at =
                self.cartography
                    .of_group(candidates, agreement, group, take, budget.seed);
            let mut rows: Vec<usize> = looked_at.into_iter().map(|choice| choice.row).collect();
            rows.sort_unstable();
            let sign = self.influence.sign;
            let ranked = candidates.ranked(budget.seed, &rows, |i| sign.score(influence[i]));
            let kept = ranked.into_iter().take(group.keep);
            let reason = self.influence.reason();
            Ok(kept.map(|row| Choice::new(row, reason)).collect())
        })
    }
}
