//! Federated averaging on the clients' real images.

use super::local_training::{classes, train};
use super::{Averaging, Card, LocalTask, RoundPlan};
use crate::Result;
use promptfed_learn::{Classifier, EpochStats};

/// McMahan et al. 2017, algorithm 1. Local training augments live, as every other method does.
#[derive(Debug, Clone, Copy)]
pub struct FedAvg {
    /// How many rounds, and how long each.
    pub plan: RoundPlan,
}

impl Averaging for FedAvg {
    type Local = ();

    fn card(&self) -> Card {
        Card {
            name: "fedavg".to_owned(),
            description: format!(
                "shares weights, {}; trains on real images where they are",
                self.plan.described()
            ),
        }
    }

    fn plan(&self) -> RoundPlan {
        self.plan
    }

    fn client(&self, _: &Classifier) {}

    fn train(
        &self,
        task: &LocalTask<'_>,
        (): &mut (),
        received: &Classifier,
    ) -> Result<(Classifier, EpochStats)> {
        train(task, received, &mut classes(task))
    }
}
