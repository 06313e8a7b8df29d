//! Classes of representations, by a linear map of its own.

use promptfed_nn::cross_entropy::cross_entropy;
use promptfed_nn::noise::uniform;

use super::representation::{flat, matrix};
use super::{OfRepresentations, RepresentationLoss};
use crate::{Error, Result};

/// A linear map from representations to classes.
#[derive(Debug, Clone)]
pub struct ClassMap {
    /// `[classes, width]`
    weight: Vec<f32>,
    /// `[classes]`
    bias: Vec<f32>,
}

impl ClassMap {
    /// Weights within `1 / sqrt(width)`, as PyTorch's layers draw theirs, and no bias.
    pub fn new(classes: usize, width: usize, seed: u64) -> Self {
        let bound = 1.0 / (width.max(1) as f32).sqrt();
        Self {
            weight: uniform(seed, classes * width, -bound, bound),
            bias: vec![0.0; classes],
        }
    }
}

/// Cross-entropy of the classes that a [`ClassMap`] makes of a network's outputs. The map learns by steps of its own: SGD with Nesterov momentum, as
/// networks of images do, but without weight decay.
pub struct Classification<'a> {
    map: &'a mut ClassMap,
    labels: &'a [u32],
    label_smoothing: f32,
    rate: f32,
    momentum: f32,
    velocity: ClassMap,
}

impl<'a> Classification<'a> {
    /// Of samples of these classes; at rate 0 the map stays as it is.
    pub fn new(
        map: &'a mut ClassMap,
        labels: &'a [u32],
        label_smoothing: f32,
        rate: f32,
        momentum: f32,
    ) -> Self {
        let velocity = ClassMap {
            weight: vec![0.0; map.weight.len()],
            bias: vec![0.0; map.bias.len()],
        };
        Self {
            map,
            labels,
            label_smoothing,
            rate,
            momentum,
            velocity,
        }
    }

    fn descend(&mut self, of_weight: &[f32], of_bias: &[f32]) {
        let (rate, momentum) = (self.rate, self.momentum);
        let step = |values: &mut [f32], velocity: &mut [f32], gradient: &[f32]| {
            for ((value, velocity), g) in values.iter_mut().zip(velocity).zip(gradient) {
                *velocity = momentum * *velocity + g;
                *value -= rate * (g + momentum * *velocity);
            }
        };
        step(&mut self.map.weight, &mut self.velocity.weight, of_weight);
        step(&mut self.map.bias, &mut self.velocity.bias, of_bias);
    }
}

impl RepresentationLoss for Classification<'_> {
    fn of(
        &mut self,
        indices: &[usize],
        outputs: &[f32],
        width: usize,
    ) -> Result<OfRepresentations> {
        let classes = self.map.bias.len();
        let label = |index: &usize| {
            let label = self.labels.get(*index).copied();
            let label = label.ok_or(Error::Inconsistent {
                role: "training",
                what: "labels",
                found: self.labels.len(),
                expected: index + 1,
            })?;
            if label as usize >= classes {
                return Err(Error::Label {
                    index: *index,
                    role: "training",
                    label,
                    classes,
                });
            }
            Ok(label)
        };
        let labels = indices.iter().map(label).collect::<Result<Vec<u32>>>()?;
        let outputs = matrix(outputs, width)?;
        let weight = matrix(&self.map.weight, width)?;
        let mut logits = flat(&outputs.matmul(&weight.t()?)?)?;
        for row in logits.chunks_exact_mut(classes.max(1)) {
            row.iter_mut()
                .zip(&self.map.bias)
                .for_each(|(logit, bias)| *logit += bias);
        }
        let found = cross_entropy(&logits, &labels, None, self.label_smoothing);
        let slopes = matrix(&found.gradient, classes)?;
        let gradient = flat(&slopes.matmul(&weight)?)?;
        if self.rate > 0.0 {
            let of_weight = flat(&slopes.t()?.matmul(&outputs)?)?;
            self.descend(&of_weight, &flat(&slopes.sum(0)?)?);
        }
        Ok(OfRepresentations {
            loss: f64::from(found.loss),
            gradient,
            correct: found.correct,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Representing;
    use super::super::tests::assert_slopes;
    use super::*;

    /// The example's batch is of samples 4, 0 and 1.
    const LABELS: [u32; 5] = [1, 2, 0, 0, 1];

    #[test]
    fn gradients_are_slopes() {
        let mut map = ClassMap::new(3, 4, 7);
        map.bias = vec![0.2, -0.1, 0.4];
        let still = Classification::new(&mut map, &LABELS, 0.1, 0.0, 0.9);
        assert_slopes(&mut Representing(still));
    }

    /// The map's own gradients are slopes too: a step without momentum is the rate times them.
    #[test]
    fn its_own_steps_go_down() {
        let outputs = [0.5, -1.0, 2.0, 0.3];
        let loss = |map: &ClassMap| {
            let mut map = map.clone();
            let mut still = Classification::new(&mut map, &LABELS, 0.0, 0.0, 0.0);
            still.of(&[0, 1], &outputs, 2).unwrap().loss
        };
        let start = ClassMap::new(3, 2, 1);
        let mut moved = start.clone();
        let mut learning = Classification::new(&mut moved, &LABELS, 0.0, 0.01, 0.0);
        learning.of(&[0, 1], &outputs, 2).unwrap();
        let values = |map: &ClassMap| [map.weight.clone(), map.bias.clone()].concat();
        let (before, after) = (values(&start), values(&moved));
        for i in 0..before.len() {
            let at = |by: f32| {
                let mut map = start.clone();
                let of_weight = map.weight.len();
                match i.checked_sub(of_weight) {
                    None => map.weight[i] += by,
                    Some(i) => map.bias[i] += by,
                }
                loss(&map)
            };
            let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
            let step = f64::from(before[i] - after[i]) / 0.01;
            assert!((slope - step).abs() < 2e-3, "{i}: {slope} {step}");
        }
        assert!(loss(&moved) < loss(&start));
    }

    #[test]
    fn classes_that_are_not_there_are_told() {
        let mut map = ClassMap::new(2, 2, 0);
        let mut loss = Classification::new(&mut map, &[0, 2], 0.0, 0.1, 0.9);
        assert!(loss.of(&[0], &[1.0, 0.0], 2).is_ok());
        assert!(loss.of(&[1], &[1.0, 0.0], 2).is_err());
        assert!(loss.of(&[2], &[1.0, 0.0], 2).is_err());
    }
}
