//! Training a network of texts by itself.

use std::sync::atomic::{AtomicBool, Ordering};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::tower::TextTower;
use crate::objective::RepresentationLoss;
use crate::{EpochStats, Error, Result};

/// How a [`TextTower`] is trained by itself.
#[derive(Debug, Clone, Copy)]
pub struct TextTraining<'a> {
    /// Passes over the texts, at least 1.
    pub epochs: usize,
    /// Texts of a step; a smaller set is one batch.
    pub batch_size: usize,
    /// The learning rate.
    pub rate: f32,
    /// Seeds the order of the texts.
    pub seed: u64,
    /// Ends the training within a batch when it is set.
    pub cancel: &'a AtomicBool,
}

impl TextTower {
    /// Trains it on texts by a loss of their representations, and tells how the last pass went.
    ///
    /// # Errors
    /// What the loss says, [`Error::Cancelled`], [`Error::NoImages`] without texts, and [`Error::Diverged`].
    pub fn train(
        &mut self,
        texts: &[Vec<u32>],
        loss: &mut dyn RepresentationLoss,
        training: &TextTraining<'_>,
    ) -> Result<EpochStats> {
        if texts.is_empty() {
            return Err(Error::NoImages { role: "training" });
        }
        let batch = training.batch_size.min(texts.len()).max(1);
        let mut order: Vec<usize> = (0..texts.len()).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(training.seed);
        let mut stats = EpochStats {
            epoch: 0,
            learning_rate: training.rate,
            train_loss: f32::NAN,
            train_accuracy: f32::NAN,
            validation_accuracy: None,
            validation_balanced_accuracy: None,
        };
        for epoch in 1..=training.epochs {
            order.shuffle(&mut rng);
            let (mut sum, mut correct, mut steps) = (0.0, 0, 0_u32);
            for indices in order.chunks_exact(batch) {
                if training.cancel.load(Ordering::Relaxed) {
                    return Err(Error::Cancelled);
                }
                let some: Vec<&[u32]> = indices.iter().map(|i| texts[*i].as_slice()).collect();
                let made = self.forward(&some)?;
                let (_, width) = made.dims2()?;
                let outputs: Vec<f32> = made.flatten_all()?.to_vec1()?;
                let found = loss.of(indices, &outputs, width)?;
                if !found.loss.is_finite() {
                    return Err(Error::Diverged {
                        epoch,
                        loss: found.loss as f32,
                        learning_rate: training.rate,
                    });
                }
                self.step(&made, &found.gradient, training.rate)?;
                sum += found.loss;
                correct += found.correct;
                steps += 1;
            }
            stats.epoch = epoch;
            stats.train_loss = (sum / f64::from(steps)) as f32;
            stats.train_accuracy = correct as f32 / (steps as usize * batch) as f32;
        }
        Ok(stats)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::{ClassMap, Classification};

    #[test]
    fn it_comes_to_tell_texts_apart() {
        let texts = [vec![1, 2, 3], vec![4], vec![1, 5, 3, 2, 2, 6]];
        let mut tower = TextTower::new(7, 8, 5).unwrap();
        let mut map = ClassMap::new(3, 8, 1);
        let never = AtomicBool::new(false);
        let training = TextTraining {
            epochs: 60,
            batch_size: 3,
            rate: 2e-3,
            seed: 1,
            cancel: &never,
        };
        let labels = [0, 1, 2];
        let mut loss = Classification::new(&mut map, &labels, 0.0, 0.05, 0.9);
        let told = tower.train(&texts, &mut loss, &training).unwrap();
        assert!(
            told.train_accuracy == 1.0 && told.train_loss < 0.3,
            "{told:?}"
        );
        let stopped = TextTraining {
            cancel: &AtomicBool::new(true),
            ..training
        };
        let error = tower.train(&texts, &mut loss, &stopped).unwrap_err();
        assert!(matches!(error, Error::Cancelled));
        assert!(tower.train(&[], &mut loss, &training).is_err());
    }
}
