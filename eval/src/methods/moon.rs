//! Federated averaging with a contrast between models.

use super::local_training::{classes, train};
use super::{Averaging, Card, LocalTask, RoundPlan};
use crate::Result;
use promptfed_learn::objective::Contrastive;
use promptfed_learn::{Classifier, EpochStats};

/// Li, He and Song 2021, "Model-Contrastive Federated Learning", algorithm 1: clients keep their
/// features near the global model's and away from those of their own last model. The features are those that the last linear map reads;
/// the paper's projection head is left out.
#[derive(Debug, Clone, Copy)]
pub struct Moon {
    /// How many rounds, and how long each.
    pub plan: RoundPlan,
    /// Weight of the contrast, 0 or above.
    pub mu: f32,
    /// Temperature of the contrast, above 0.
    pub temperature: f32,
}

impl Averaging for Moon {
    /// The client's model at the end of its last round; before the first, the initial one.
    type Local = Classifier;

    fn card(&self) -> Card {
        Card {
            name: "moon".to_owned(),
            description: format!(
                "shares weights, {}; clients contrast the global model with their own last one by mu = {}, temperature {}",
                self.plan.described(),
                self.mu,
                self.temperature
            ),
        }
    }

    fn plan(&self) -> RoundPlan {
        self.plan
    }

    fn client(&self, initial: &Classifier) -> Classifier {
        initial.clone()
    }

    fn train(
        &self,
        task: &LocalTask<'_>,
        last: &mut Classifier,
        received: &Classifier,
    ) -> Result<(Classifier, EpochStats)> {
        let mut objective = Contrastive {
            inner: classes(task),
            mu: self.mu,
            temperature: self.temperature,
            global: received.clone(),
            last: last.clone(),
        };
        let (model, stats) = train(task, received, &mut objective)?;
        *last = model.clone();
        Ok((model, stats))
    }
}
