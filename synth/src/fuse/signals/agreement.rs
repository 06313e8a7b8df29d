//! What task models of several backends make of an image: how sure they are of its class, and how far they differ (FuseGen, Zou et
//! al. 2024, equation 3; the names are those of dataset cartography, Swayamdipta et al. 2020).

use super::super::candidates::Candidates;

/// The views of K task models on n images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Agreement {
    models: usize,
    /// `[n, K]`, the probability that each model gives the image's own class, in 0 to 1.
    own: Vec<f32>,
    /// `[n, K]`, the class that each model finds most probable.
    predicted: Vec<u32>,
}

impl Agreement {
    /// From `own` and `predicted`, `[n, models]` each; a rest that fills no row is dropped.
    pub fn new(models: usize, mut own: Vec<f32>, mut predicted: Vec<u32>) -> Self {
        let models = models.max(1);
        let rows = own.len().min(predicted.len()) / models;
        own.truncate(rows * models);
        predicted.truncate(rows * models);
        Self {
            models,
            own,
            predicted,
        }
    }

    /// Number of models.
    pub fn models(&self) -> usize {
        self.models
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.own.len() / self.models
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty()
    }

    /// The probability that each model gives the image's class.
    ///
    /// # Panics
    /// If the image is not below [`len`](Self::len).
    pub fn own(&self, image: usize) -> &[f32] {
        &self.own[image * self.models..(image + 1) * self.models]
    }

    /// The class that each model finds most probable.
    ///
    /// # Panics
    /// If the image is not below [`len`](Self::len).
    pub fn predicted(&self, image: usize) -> &[u32] {
        &self.predicted[image * self.models..(image + 1) * self.models]
    }

    /// The mean of the models' probabilities of the image's class, in 0 to 1.
    pub fn confidence(&self, image: usize) -> f64 {
        mean(self.own(image))
    }

    /// The standard deviation of those probabilities over the models, unbiased (K - 1); 0 for one model, with which nothing differs.
    pub fn variability(&self, image: usize) -> f64 {
        deviation(self.own(image))
    }

    /// The confidence of all models but the one of the image's own backend, which has trained on it; of that one where there is no
    /// other.
    pub fn confidence_of_others(&self, candidates: &Candidates, image: usize) -> f64 {
        let backend = candidates.backend(image);
        let own = self.own(image);
        let others: Vec<f32> = (0..)
            .zip(own)
            .filter(|(model, _)| *model != backend)
            .map(|(_, p)| *p)
            .collect();
        if others.is_empty() {
            mean(own)
        } else {
            mean(&others)
        }
    }
}

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|v| f64::from(*v)).sum::<f64>() / values.len().max(1) as f64
}

fn deviation(values: &[f32]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let mean = mean(values);
    let squares: f64 = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::fuse::golden::golden;

    #[derive(Deserialize)]
    struct Case {
        own: Vec<Vec<f32>>,
        confidence: Vec<f64>,
        variability: Vec<f64>,
    }

    #[test]
    fn confidence_and_variability_agree_with_numpy() {
        let case: Case = golden("agreement");
        let models = case.own[0].len();
        let own = case.own.concat();
        let predicted = vec![0; own.len()];
        let agreement = Agreement::new(models, own, predicted);
        assert_eq!(agreement.len(), case.own.len());
        for image in 0..agreement.len() {
            assert!((agreement.confidence(image) - case.confidence[image]).abs() < 1e-7);
            assert!((agreement.variability(image) - case.variability[image]).abs() < 1e-7);
        }
    }

    #[test]
    fn one_model_never_differs() {
        let agreement = Agreement::new(1, vec![0.1, 0.9], vec![0, 1]);
        assert_eq!([0, 1].map(|i| agreement.variability(i)), [0.0, 0.0]);
        assert!((agreement.confidence(1) - 0.9).abs() < 1e-7);
    }

    proptest! {
        #[test]
        fn the_order_of_the_models_changes_nothing(mut own in prop::collection::vec(0f32..=1.0, 2..8)) {
            let of = |own: &[f32]| {
                let agreement = Agreement::new(own.len(), own.to_vec(), vec![0; own.len()]);
                (agreement.confidence(0), agreement.variability(0))
            };
            let (confidence, variability) = of(&own);
            prop_assert!((0.0..=1.0).contains(&confidence));
            // The most that two halves at 0 and 1 can differ.
            prop_assert!((0.0..=0.7072).contains(&variability));
            own.reverse();
            let reversed = of(&own);
            prop_assert!((reversed.0 - confidence).abs() < 1e-9 && (reversed.1 - variability).abs() < 1e-9);
        }
    }
}
