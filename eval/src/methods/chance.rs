//! Guessing: the floor under every other number.

use super::{Card, Method, Models, Probe, Trained, World};
use crate::predictor::Predictor;
use crate::{Result, seeds};
use promptfed_data::LabelledImages;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Names a class at random for each image.
#[derive(Debug, Clone, Copy, Default)]
pub struct Chance;

impl Method for Chance {
    fn card(&self) -> Card {
        Card {
            name: "chance".to_owned(),
            description: "shares nothing; a class drawn at random for each test image".to_owned(),
        }
    }

    fn run(&self, world: &World<'_>, _: &mut dyn Probe) -> Result<Trained> {
        Ok(Trained::of(Models::Global(Box::new(Guesses {
            seed: seeds::derive(world.seed, "chance"),
            classes: world.classes(),
        }))))
    }
}

struct Guesses {
    seed: u64,
    classes: usize,
}

impl Predictor for Guesses {
    fn probabilities(&self, images: &LabelledImages) -> Result<Vec<f32>> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut probabilities = vec![0.0; images.len() * self.classes];
        for row in probabilities.chunks_exact_mut(self.classes) {
            row[rng.random_range(0..self.classes)] = 1.0;
        }
        Ok(probabilities)
    }

    fn file(&self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
}
