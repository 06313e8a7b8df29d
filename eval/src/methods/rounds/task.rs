//! What a client does in a round.

use crate::methods::World;
use promptfed_data::LabelledImages;
use promptfed_learn::{Schedule, TrainConfig};
use std::sync::atomic::AtomicBool;

/// A client's work of one round.
#[derive(Clone)]
pub struct LocalTask<'a> {
    /// The images it trains on.
    pub images: &'a LabelledImages,
    /// How.
    pub config: TrainConfig,
    /// Set where the run is to end soon.
    pub cancel: &'a AtomicBool,
}

impl<'a> LocalTask<'a> {
    /// As `training` says, at a constant rate.
    pub(in crate::methods) fn new(
        world: &'a World<'_>,
        images: &'a LabelledImages,
        training: &TrainConfig,
        learning_rate: f32,
        seed: u64,
    ) -> Self {
        Self {
            images,
            config: TrainConfig {
                learning_rate,
                schedule: Schedule::Constant,
                seed,
                ..training.clone()
            },
            cancel: world.cancel,
        }
    }

    /// The same in one pass over the images.
    pub(in crate::methods) fn once(self) -> Self {
        Self {
            config: TrainConfig {
                epochs: 1,
                ..self.config
            },
            ..self
        }
    }

    /// Steps of the optimiser.
    pub fn steps(&self) -> usize {
        let batch = self.config.batch_size.min(self.images.len()).max(1);
        self.config.epochs * (self.images.len() / batch)
    }
}
