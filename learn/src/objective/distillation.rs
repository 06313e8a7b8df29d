//! Learning what a teacher says of the images.

use promptfed_nn::cross_entropy::{arg_max, softmax};

use super::{HeadBatch, HeadGradients, Objective};
use crate::{Error, Result};

/// Distillation (Hinton, Vinyals and Dean 2015, section 2): `temperature^2` times the Kullback-Leibler divergence of the network's softened
/// probabilities from those of given logits, the mean over the batch, each image by its weight.
pub struct Distillation {
    /// The teacher's logits for every image of the training set, `[images, classes]`.
    pub logits: Vec<f32>,
    /// Above 0.
    pub temperature: f32,
}

impl Distillation {
    /// Learning from soft labels: the teacher's probabilities themselves, `[images, classes]`, with a part `label_smoothing` of each
    /// image's spread evenly over all classes. The gradient is that of the cross-entropy with them; the loss is less by their entropy.
    pub fn of_probabilities(probabilities: &[f32], classes: usize, label_smoothing: f32) -> Self {
        let even = label_smoothing / classes.max(1) as f32;
        let smoothed = |p: &f32| ((1.0 - label_smoothing) * p + even).ln();
        Self {
            logits: probabilities.iter().map(smoothed).collect(),
            temperature: 1.0,
        }
    }
}

impl Objective for Distillation {
    fn head(&mut self, batch: &HeadBatch<'_>) -> Result<HeadGradients> {
        let classes = batch.classes();
        let softened = |logits: &[f32]| {
            let mut values: Vec<f32> = logits.iter().map(|v| v / self.temperature).collect();
            softmax(&mut values, classes);
            values
        };
        let mut found = HeadGradients {
            loss: 0.0,
            correct: 0,
            logits: vec![0.0; batch.logits.len()],
            features: None,
        };
        let mut loss = 0.0;
        let rows = batch
            .logits
            .chunks_exact(classes)
            .zip(found.logits.chunks_exact_mut(classes));
        for (i, (row, gradient)) in rows.enumerate() {
            let place = batch.indices[i] * classes;
            let teacher = self
                .logits
                .get(place..place + classes)
                .ok_or(Error::Inconsistent {
                    role: "training",
                    what: "logits to learn from",
                    found: self.logits.len(),
                    expected: place + classes,
                })?;
            let (student, teacher) = (softened(row), softened(teacher));
            let share = batch.weights.map_or(1.0, |w| f64::from(w[i])) / batch.len() as f64;
            let scale = share * f64::from(self.temperature);
            for ((g, s), t) in gradient.iter_mut().zip(&student).zip(&teacher) {
                let (s, t) = (f64::from(*s), f64::from(*t));
                if t > 0.0 {
                    // What is no number stays none, and ends the training.
                    let s = s.clamp(f64::MIN_POSITIVE, 1.0);
                    loss += scale * f64::from(self.temperature) * t * (t / s).ln();
                }
                *g = (scale * (s - t)) as f32;
            }
            found.correct += usize::from(arg_max(row) == batch.labels[i] as usize);
        }
        found.loss = loss as f32;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Classes;
    use super::super::tests::{Example, assert_slopes};
    use super::*;

    fn teacher() -> Distillation {
        Distillation {
            logits: (0..24)
                .map(|i| ((i * 13 + 3) % 11) as f32 / 4.0 - 1.0)
                .collect(),
            temperature: 2.0,
        }
    }

    #[test]
    fn gradients_are_slopes() {
        assert_slopes(&mut teacher());
    }

    #[test]
    fn soft_labels_that_are_hard_teach_what_labels_teach() {
        let example = Example::new();
        for label_smoothing in [0.0, 0.1] {
            let mut hard = Classes { label_smoothing };
            let expected = hard.head(&example.batch()).unwrap();
            // The batch's images stand at these places of the training set.
            let mut targets = vec![0.25; 24];
            for (label, index) in example.labels.iter().zip([4, 0, 1]) {
                let row = &mut targets[index * 4..index * 4 + 4];
                row.fill(0.0);
                row[*label as usize] = 1.0;
            }
            let mut soft = Distillation::of_probabilities(&targets, 4, label_smoothing);
            let found = soft.head(&example.batch()).unwrap();
            assert_eq!(found.correct, expected.correct);
            for (found, expected) in found.logits.iter().zip(&expected.logits) {
                assert!((found - expected).abs() < 1e-6, "{found} {expected}");
            }
        }
    }

    #[test]
    fn the_gradient_of_a_soft_label_is_what_is_predicted_less_what_is_wanted() {
        let example = Example::new();
        let targets = [0.7, 0.2, 0.1, 0.0].repeat(6);
        let mut soft = Distillation::of_probabilities(&targets, 4, 0.0);
        let found = soft.head(&example.batch()).unwrap();
        assert!(found.loss.is_finite() && found.loss > 0.0);
        let batch = example.batch();
        for (row, gradient) in batch.logits.chunks(4).zip(found.logits.chunks(4)) {
            let mut p = row.to_vec();
            softmax(&mut p, 4);
            for ((g, p), t) in gradient.iter().zip(&p).zip(&targets) {
                assert!((g - (p - t) / 3.0).abs() < 1e-6, "{g} {p} {t}");
            }
        }
    }

    #[test]
    fn logits_that_are_no_numbers_give_no_finite_loss() {
        let mut example = Example::new();
        example.logits.fill(f32::NAN);
        let found = teacher().head(&example.batch()).unwrap();
        assert!(!found.loss.is_finite(), "{}", found.loss);
    }

    #[test]
    fn nothing_is_left_to_learn_from_oneself_and_missing_logits_are_told() {
        let example = Example::new();
        let mut own = teacher();
        for (row, index) in example.logits.chunks(4).zip([4, 0, 1]) {
            own.logits[index * 4..index * 4 + 4].copy_from_slice(row);
        }
        let found = own.head(&example.batch()).unwrap();
        assert!(found.loss.abs() < 1e-6 && found.logits.iter().all(|g| g.abs() < 1e-7));
        own.logits.truncate(12);
        assert!(own.head(&example.batch()).is_err());
    }
}
