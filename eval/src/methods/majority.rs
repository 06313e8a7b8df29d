//! Always the same answer: the floor under accuracy where classes are uneven.

use super::{Card, Method, Models, Probe, Trained, World};
use crate::Result;
use crate::predictor::Predictor;
use crate::wire::payload::Counts;
use promptfed_data::LabelledImages;

/// Names the class that the clients have most training images of, whatever an image shows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Majority;

impl Method for Majority {
    fn card(&self) -> Card {
        Card {
            name: "majority".to_owned(),
            description:
                "shares how many images of each class there are; always names the most frequent"
                    .to_owned(),
        }
    }

    fn run(&self, world: &World<'_>, _: &mut dyn Probe) -> Result<Trained> {
        let mut sums = vec![0u64; world.classes()];
        for client in world.clients() {
            let counts = Counts::of_labels(&client.train.labels, world.classes());
            let Counts(counts) = world.channel.up(&client.name, &counts)?;
            sums.iter_mut()
                .zip(counts)
                .for_each(|(sum, n)| *sum += u64::from(n));
        }
        // Of equals the first.
        let most = (0..sums.len()).rev().max_by_key(|&class| sums[class]);
        Ok(Trained::of(Models::Global(Box::new(Always {
            class: most.unwrap_or(0),
            classes: world.classes(),
        }))))
    }
}

struct Always {
    class: usize,
    classes: usize,
}

impl Predictor for Always {
    fn probabilities(&self, images: &LabelledImages) -> Result<Vec<f32>> {
        let mut probabilities = vec![0.0; images.len() * self.classes];
        for row in probabilities.chunks_exact_mut(self.classes) {
            row[self.class] = 1.0;
        }
        Ok(probabilities)
    }

    fn file(&self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
}
