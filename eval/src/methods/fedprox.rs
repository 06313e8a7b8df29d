//! Federated averaging with clients that stay near the global model.

use super::local_training::{classes, train};
use super::{Averaging, Card, LocalTask, RoundPlan};
use crate::Result;
use promptfed_learn::objective::Proximal;
use promptfed_learn::{Classifier, EpochStats};

/// Li et al. 2020, "Federated Optimization in Heterogeneous Networks", algorithm 2, with the same number of
/// epochs for each.
#[derive(Debug, Clone, Copy)]
pub struct FedProx {
    /// How many rounds, and how long each.
    pub plan: RoundPlan,
    /// Weight of the distance to the global model, 0 or above.
    pub mu: f64,
}

impl Averaging for FedProx {
    type Local = ();

    fn card(&self) -> Card {
        Card {
            name: "fedprox".to_owned(),
            description: format!(
                "shares weights, {}; clients stay near the global model by mu = {}",
                self.plan.described(),
                self.mu
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
        let mut objective = Proximal {
            inner: classes(task),
            mu: self.mu,
            anchor: received.parameters()?,
        };
        train(task, received, &mut objective)
    }
}
