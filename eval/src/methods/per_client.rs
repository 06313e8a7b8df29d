//! Methods that end with a model for each client.

use super::rounds::idle;
use super::{Models, Trained, World};
use crate::predictor::Predictor;
use crate::{Error, Result};
use promptfed_learn::{Classifier, EpochStats};
use std::collections::BTreeMap;

/// What clients have at the end that kept models of their own.
pub(super) struct OwnModels {
    /// The clients that trained.
    pub(super) able: Vec<usize>,
    /// Their models, in the same order.
    pub(super) models: Vec<Classifier>,
    /// What the others have: the model that all began with.
    pub(super) initial: Classifier,
    /// A step for each round.
    pub(super) curve: Vec<EpochStats>,
}

impl OwnModels {
    /// The run's end: a model for each client, in their order, as `predictor` makes it name images.
    ///
    /// # Errors
    /// If there was no round.
    pub(super) fn trained(
        self,
        world: &World<'_>,
        predictor: impl Fn(Classifier) -> Box<dyn Predictor>,
    ) -> Result<Trained> {
        if self.curve.is_empty() {
            return Err(Error::NoRounds);
        }
        let clients = world.clients();
        let provenance = idle(clients, &self.able);
        let own = self.able.into_iter().zip(self.models);
        let mut own: BTreeMap<usize, Classifier> = own.collect();
        let models = (0..clients.len()).map(|index| {
            let model = own.remove(&index);
            predictor(model.unwrap_or_else(|| self.initial.clone()))
        });
        Ok(Trained {
            curve: self.curve,
            provenance,
            ..Trained::of(Models::PerClient(models.collect()))
        })
    }
}
