//! Every client for itself: what federation must beat.

use super::{Card, Method, Models, Probe, Trained, World};
use crate::predictor::Predictor;
use crate::{Result, seeds};
use promptfed_learn::{HeldOut, Supervision};
use rayon::prelude::*;

/// Every client trains a model on its own images and shares nothing. What is reported is the mean over the clients' models.
///
/// A client that cannot take a step (one image, too small to normalise alone) has the model it began with.
#[derive(Debug, Clone, Copy)]
pub struct LocalOnly {
    /// Passes over a client's own images, at least 1.
    pub epochs: usize,
}

impl Method for LocalOnly {
    fn card(&self) -> Card {
        Card {
            name: "local".to_owned(),
            description: format!(
                "shares nothing; every client trains on its own real images for {} epochs, and the mean over clients is told",
                self.epochs
            ),
        }
    }

    fn run(&self, world: &World<'_>, _: &mut dyn Probe) -> Result<Trained> {
        let clients = world.clients();
        let task = world
            .observer
            .begin("local: training", clients.len() as u64);
        let done = std::sync::atomic::AtomicU64::new(0);
        let train = |(index, client): (usize, &crate::FederatedClient)| -> Result<_> {
            let seed = seeds::derive(world.seed, &format!("local {index}"));
            let recipe = world.recipe.with(self.epochs, seed);
            let mut model = recipe.start(world.classes())?;
            model.set_class_names(&world.federation.class_names)?;
            let batch = recipe.training.batch_size.min(client.train.len());
            if model.check_batch(batch).is_ok() {
                let images = HeldOut {
                    training: client.train.clone(),
                    validation: client.validation.clone(),
                    selection: world.federation.selection.clone(),
                    supervision: Supervision::default(),
                };
                recipe.train(&mut model, &images, Some(world.cancel), &mut |_| {})?;
            }
            task.set(1 + done.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
            Ok(Box::new(model) as Box<dyn Predictor>)
        };
        let models = clients.par_iter().enumerate().map(train);
        let models = models.collect::<Result<Vec<_>>>()?;
        Ok(Trained::of(Models::PerClient(models)))
    }
}
