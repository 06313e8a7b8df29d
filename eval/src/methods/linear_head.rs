//! Softmax regression: a linear map from features to the logits of classes.

use crate::quality::{FeatureSet, QualityError};
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use promptfed_learn::Error as Misfit;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use std::sync::atomic::{AtomicBool, Ordering};

/// Names classes by features: their logits are `W x + b`.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearHead {
    /// `[classes, width]` in row-major order.
    weight: Vec<f32>,
    /// `[classes]`
    bias: Vec<f32>,
}

/// How a head is trained: the mean cross-entropy plus `decay / 2` times the squared weights is made small. Biases are not held back.
///
/// It is accelerated gradient descent on all features at once (Beck and Teboulle 2009, "A Fast Iterative Shrinkage-Thresholding Algorithm",
/// equations 4.1 to 4.3), begun anew where the momentum goes uphill (O'Donoghue and Candès 2015, "Adaptive Restart for Accelerated Gradient
/// Schemes", the gradient scheme). The objective has one minimum, and nothing is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SoftmaxRegression {
    /// Weight of the squared weights, above 0.
    pub decay: f64,
    /// Steps at most, at least 1.
    pub steps: usize,
    /// It ends where no slope is steeper.
    pub tolerance: f64,
}

impl Default for SoftmaxRegression {
    fn default() -> Self {
        Self {
            decay: 1e-3,
            steps: 500,
            tolerance: 1e-5,
        }
    }
}

/// A head, and how its training went.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedHead {
    /// The head.
    pub head: LinearHead,
    /// The mean cross-entropy of the features it was trained on, before the last step.
    pub loss: f64,
    /// The share of them that it named rightly, in 0..=1.
    pub accuracy: f64,
    /// The length of a step.
    pub rate: f64,
}

const ROLE: &str = "training";

/// Steps of the power iteration, and what its estimate, which comes from below, is multiplied by.
const POWER_STEPS: usize = 30;
const MARGIN: f64 = 1.1;

impl SoftmaxRegression {
    /// Trains a head from zero on `features [n, width]` with their `labels [n]`; `on_step` is told the steps done and the loss.
    ///
    /// # Errors
    /// If there are no features, if labels do not fit them or the classes, or if `cancel` is set.
    pub fn fit(
        &self,
        features: &FeatureSet,
        labels: &[u32],
        classes: usize,
        cancel: &AtomicBool,
        on_step: &mut dyn FnMut(usize, f64),
    ) -> Result<TrainedHead> {
        check(features, labels, classes)?;
        let problem = Problem::new(features, labels, classes, self.decay)?;
        let rate = 1.0 / problem.steepness()?;
        let mut at = vec![0.0; (features.width() + 1) * classes];
        let mut ahead = at.clone();
        let mut pace = 1f64;
        let (mut loss, mut accuracy) = (f64::NAN, 0.0);
        for step in 0..self.steps.max(1) {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let slope = problem.slope(&ahead)?;
            (loss, accuracy) = (slope.loss, slope.accuracy);
            let next = ahead.iter().zip(&slope.values);
            let next: Vec<f64> = next.map(|(value, slope)| value - rate * slope).collect();
            let uphill = slope.values.iter().zip(next.iter().zip(&at));
            let uphill: f64 = uphill.map(|(slope, (next, at))| slope * (next - at)).sum();
            if uphill > 0.0 {
                pace = 1.0;
            }
            let faster = f64::midpoint(1.0, (1.0 + 4.0 * pace * pace).sqrt());
            let momentum = (pace - 1.0) / faster;
            ahead = next
                .iter()
                .zip(&at)
                .map(|(next, at)| next + momentum * (next - at))
                .collect();
            at = next;
            pace = faster;
            on_step(step + 1, loss);
            if slope
                .values
                .iter()
                .all(|slope| slope.abs() < self.tolerance)
            {
                break;
            }
        }
        Ok(TrainedHead {
            head: problem.head(&at),
            loss,
            accuracy,
            rate,
        })
    }
}

fn check(features: &FeatureSet, labels: &[u32], classes: usize) -> Result<()> {
    if features.is_empty() {
        return Err(Misfit::NoImages { role: ROLE }.into());
    }
    if labels.len() != features.len() {
        let misfit = Misfit::Inconsistent {
            role: ROLE,
            what: "labels",
            found: labels.len(),
            expected: features.len(),
        };
        return Err(misfit.into());
    }
    let wrong = labels.iter().position(|label| *label as usize >= classes);
    wrong.map_or(Ok(()), |index| {
        let misfit = Misfit::Label {
            role: ROLE,
            index,
            label: labels[index],
            classes,
        };
        Err(misfit.into())
    })
}

/// What is made small, by the weights `[width, classes]` and after them the biases `[classes]` of features around their mean: so these turn
/// apart from the weights, which makes the descent short and changes nothing about the minimum.
struct Problem<'a> {
    /// `[n, width]`
    rows: Tensor,
    mean: Vec<f64>,
    labels: &'a [u32],
    classes: usize,
    decay: f64,
}

/// The objective's slope somewhere.
struct Slope {
    /// As the weights and the biases lie.
    values: Vec<f64>,
    /// The mean cross-entropy there.
    loss: f64,
    /// The share of features that are named rightly there.
    accuracy: f64,
}

impl<'a> Problem<'a> {
    fn new(features: &FeatureSet, labels: &'a [u32], classes: usize, decay: f64) -> Result<Self> {
        let (n, width) = (features.len(), features.width());
        let mut mean = vec![0.0; width];
        for row in features.values().chunks_exact(width) {
            for (mean, value) in mean.iter_mut().zip(row) {
                *mean += f64::from(*value) / n as f64;
            }
        }
        let rows = features.values().chunks_exact(width);
        let centred = rows.flat_map(|row| row.iter().zip(&mean));
        let centred: Vec<f32> = centred.map(|(v, m)| (f64::from(*v) - m) as f32).collect();
        Ok(Self {
            rows: Tensor::from_vec(centred, (n, width), &Device::Cpu)?,
            mean,
            labels,
            classes,
            decay,
        })
    }

    /// A bound on the largest eigenvalue of the objective's Hessian: half that of the features' covariance, or half of 1 for the biases (Böhning
    /// 1992, "Multinomial Logistic Regression Algorithm"), and the decay.
    fn steepness(&self) -> Result<f64> {
        let (n, width) = self.rows.dims2()?;
        let mut direction = vec![(width as f64).sqrt().recip(); width];
        let mut largest = 0f64;
        for _ in 0..POWER_STEPS {
            let narrow = direction.iter().map(|v| *v as f32).collect();
            let column = Tensor::from_vec::<_, f32>(narrow, (width, 1), &Device::Cpu)?;
            let product = self.rows.t()?.matmul(&self.rows.matmul(&column)?)?;
            let product = product.flatten_all()?.to_vec1::<f32>()?;
            direction = product.iter().map(|v| f64::from(*v) / n as f64).collect();
            largest = direction.iter().map(|v| v * v).sum::<f64>().sqrt();
            if largest == 0.0 {
                break;
            }
            direction.iter_mut().for_each(|v| *v /= largest);
        }
        Ok(0.5 * (MARGIN * largest).max(1.0) + self.decay)
    }

    fn slope(&self, at: &[f64]) -> Result<Slope> {
        let (n, width) = self.rows.dims2()?;
        let (weights, biases) = at.split_at(width * self.classes);
        let narrow = weights.iter().map(|v| *v as f32).collect();
        let map = Tensor::from_vec::<_, f32>(narrow, (width, self.classes), &Device::Cpu)?;
        let products = self.rows.matmul(&map)?.flatten_all()?.to_vec1::<f32>()?;
        let mut errors = Vec::with_capacity(products.len());
        let mut of_biases = vec![0.0; self.classes];
        let (mut loss, mut right) = (0.0, 0usize);
        let mut row = vec![0.0; self.classes];
        for (products, label) in products.chunks_exact(self.classes).zip(self.labels) {
            let label = *label as usize;
            for ((value, product), bias) in row.iter_mut().zip(products).zip(biases) {
                *value = f64::from(*product) + bias;
            }
            softmax(&mut row);
            loss -= row[label].max(f64::MIN_POSITIVE).ln();
            // The first of equals is named, as everywhere.
            let named = row.iter().position(|p| row.iter().all(|q| q <= p));
            right += usize::from(named == Some(label));
            row[label] -= 1.0;
            for (sum, error) in of_biases.iter_mut().zip(&row) {
                *sum += error / n as f64;
            }
            errors.extend(row.iter().map(|error| (error / n as f64) as f32));
        }
        let errors = Tensor::from_vec(errors, (n, self.classes), &Device::Cpu)?;
        let of_weights = self.rows.t()?.matmul(&errors)?.flatten_all()?;
        let of_weights = of_weights.to_vec1::<f32>()?.into_iter().zip(weights);
        let mut values: Vec<f64> = of_weights
            .map(|(slope, weight)| f64::from(slope) + self.decay * weight)
            .collect();
        values.extend(of_biases);
        Ok(Slope {
            values,
            loss: loss / n as f64,
            accuracy: right as f64 / n as f64,
        })
    }

    /// The head of features as they are, not around their mean.
    fn head(&self, at: &[f64]) -> LinearHead {
        let (weights, biases) = at.split_at(self.mean.len() * self.classes);
        let of_class = |class: usize| weights.iter().skip(class).step_by(self.classes);
        let bias = biases.iter().enumerate().map(|(class, bias)| {
            let moved: f64 = of_class(class).zip(&self.mean).map(|(w, m)| w * m).sum();
            (bias - moved) as f32
        });
        LinearHead {
            bias: bias.collect(),
            weight: (0..self.classes)
                .flat_map(|class| of_class(class).map(|w| *w as f32))
                .collect(),
        }
    }
}

/// Makes probabilities of logits.
fn softmax(row: &mut [f64]) {
    let peak = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    row.iter_mut()
        .for_each(|value| *value = (*value - peak).exp());
    let sum: f64 = row.iter().sum();
    row.iter_mut().for_each(|value| *value /= sum);
}

const WHAT: &str = "a linear head";

fn fault(reason: impl ToString) -> Error {
    Error::Payload {
        what: WHAT,
        reason: reason.to_string(),
    }
}

impl LinearHead {
    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.bias.len()
    }

    /// Values of an image's features.
    pub fn width(&self) -> usize {
        self.weight.len() / self.bias.len().max(1)
    }

    /// The probability of every class for every row of features, `[n, classes]` in row-major order.
    ///
    /// # Errors
    /// Features of another width.
    pub fn probabilities(&self, features: &FeatureSet) -> Result<Vec<f32>> {
        let (width, classes) = (self.width(), self.classes());
        if features.width() != width {
            let misfit = QualityError::Width {
                found: features.width(),
                expected: width,
            };
            return Err(misfit.into());
        }
        if features.is_empty() {
            return Ok(Vec::new());
        }
        let rows = Tensor::from_slice(features.values(), (features.len(), width), &Device::Cpu)?;
        let map = Tensor::from_slice(&self.weight, (classes, width), &Device::Cpu)?;
        let products = rows.matmul(&map.t()?)?.flatten_all()?.to_vec1::<f32>()?;
        let mut probabilities = Vec::with_capacity(products.len());
        for products in products.chunks_exact(classes) {
            let logits = products.iter().zip(&self.bias);
            let mut row: Vec<f64> = logits.map(|(p, b)| f64::from(*p) + f64::from(*b)).collect();
            softmax(&mut row);
            probabilities.extend(row.into_iter().map(|p| p as f32));
        }
        Ok(probabilities)
    }

    /// A safetensors file with `weight [classes, width]` and `bias [classes]` in f32.
    ///
    /// # Errors
    /// If it cannot be written down.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        let bytes =
            |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
        let (weight, bias) = (bytes(&self.weight), bytes(&self.bias));
        let shape = vec![self.classes(), self.width()];
        let weight = TensorView::new(Dtype::F32, shape, &weight).map_err(fault)?;
        let bias = TensorView::new(Dtype::F32, vec![self.classes()], &bias).map_err(fault)?;
        safetensors::serialize([("weight", weight), ("bias", bias)], None).map_err(fault)
    }

    /// The head of such a file.
    ///
    /// # Errors
    /// Anything else.
    pub fn from_safetensors(file: &[u8]) -> Result<Self> {
        let file = SafeTensors::deserialize(file).map_err(fault)?;
        let tensor = |name: &str| -> Result<(Vec<usize>, Vec<f32>)> {
            let view = file.tensor(name).map_err(fault)?;
            if view.dtype() != Dtype::F32 {
                return Err(fault(format!("{name} is {:?} and not F32", view.dtype())));
            }
            let (words, _) = view.data().as_chunks::<4>();
            let values: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
            if values.iter().any(|value| !value.is_finite()) {
                return Err(fault(format!("{name} has values that are not finite")));
            }
            Ok((view.shape().to_vec(), values))
        };
        let ((shape, weight), (of_bias, bias)) = (tensor("weight")?, tensor("bias")?);
        match (shape.as_slice(), of_bias.as_slice()) {
            ([rows, width], [classes]) if rows == classes && *width > 0 && *classes > 0 => {
                Ok(Self { weight, bias })
            }
            _ => Err(fault(format!("weight is {shape:?} and bias {of_bias:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// Of `golden/linear_head.py`: scikit-learn's regressions.
    #[derive(Deserialize)]
    struct Case {
        width: usize,
        classes: usize,
        decay: f64,
        rows: Vec<f32>,
        labels: Vec<u32>,
        weight: Vec<f32>,
        bias: Vec<f32>,
        loss: f64,
    }

    const EXACT: SoftmaxRegression = SoftmaxRegression {
        decay: 1e-3,
        steps: 5000,
        tolerance: 3e-7,
    };

    fn fit(
        how: SoftmaxRegression,
        features: &FeatureSet,
        labels: &[u32],
        classes: usize,
    ) -> TrainedHead {
        let never = AtomicBool::new(false);
        how.fit(features, labels, classes, &never, &mut |_, _| {})
            .unwrap()
    }

    #[test]
    fn heads_are_those_of_scikit_learn() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../tests/golden/linear_head.json")).unwrap();
        assert_eq!(cases.len(), 2);
        for case in cases {
            let set = FeatureSet::new(case.width, case.rows).unwrap();
            let decay = case.decay;
            let found = fit(
                SoftmaxRegression { decay, ..EXACT },
                &set,
                &case.labels,
                case.classes,
            );
            let pairs = found.head.weight.iter().zip(&case.weight);
            for (a, b) in pairs.chain(found.head.bias.iter().zip(&case.bias)) {
                assert!((a - b).abs() < 2e-3, "{a} and not {b}");
            }
            let squares: f64 = found
                .head
                .weight
                .iter()
                .map(|w| f64::from(*w).powi(2))
                .sum();
            let objective = found.loss + case.decay / 2.0 * squares;
            assert!(
                (objective - case.loss).abs() < 1e-5,
                "{objective} {}",
                case.loss
            );
            // What ends early is near it.
            let rough = SoftmaxRegression {
                decay,
                ..SoftmaxRegression::default()
            };
            let rough = fit(rough, &set, &case.labels, case.classes);
            assert!(
                (rough.loss - found.loss).abs() < 1e-3,
                "{} {}",
                rough.loss,
                found.loss
            );
            // What training says of accuracy is what the head does.
            let probabilities = found.head.probabilities(&set).unwrap();
            let rows = probabilities.chunks_exact(case.classes).zip(&case.labels);
            let right = rows.filter(|(row, label)| row.iter().all(|p| *p <= row[**label as usize]));
            let accuracy = right.count() as f64 / set.len() as f64;
            assert!(
                (accuracy - found.accuracy).abs() < 0.02,
                "{accuracy} {}",
                found.accuracy
            );
        }
    }

    #[test]
    fn slopes_are_those_of_the_objective() {
        let rows = [0.3, 1.0, -0.5, 0.8, 0.0, 1.5, 2.0, -1.0];
        let set = FeatureSet::new(2, rows.to_vec()).unwrap();
        let labels = [0, 2, 1, 0];
        let problem = Problem::new(&set, &labels, 3, 0.1).unwrap();
        let at = [0.2, -0.1, 0.4, 0.0, 0.3, -0.5, 0.1, 0.0, -0.2];
        let objective = |at: &[f64]| {
            let squares: f64 = at[..6].iter().map(|w| w * w).sum();
            problem.slope(at).unwrap().loss + 0.05 * squares
        };
        let found = problem.slope(&at).unwrap().values;
        for (place, slope) in found.iter().enumerate() {
            let moved = |by: f64| {
                let mut moved = at;
                moved[place] += by;
                objective(&moved)
            };
            let difference = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!(
                (difference - slope).abs() < 1e-4,
                "{difference} and not {slope}"
            );
        }
    }

    #[test]
    fn classes_and_features_may_be_missing() {
        // Nobody has class 1, and all features are alike.
        let alike = FeatureSet::new(3, vec![0.5; 12]).unwrap();
        let found = fit(SoftmaxRegression::default(), &alike, &[0, 2, 2, 2], 3);
        let probabilities = found.head.probabilities(&alike).unwrap();
        for row in probabilities.chunks_exact(3) {
            assert!((row[2] - 0.75).abs() < 0.02 && row[1] < 0.02, "{row:?}");
        }
        let one = FeatureSet::new(2, vec![1.0, 2.0]).unwrap();
        let found = fit(SoftmaxRegression::default(), &one, &[1], 2);
        assert!(found.head.probabilities(&one).unwrap()[1] > 0.9);
    }

    #[test]
    fn what_cannot_be_trained_on_is_refused() {
        let never = AtomicBool::new(false);
        let how = SoftmaxRegression::default();
        let try_fit = |rows: &[f32], labels: &[u32], cancel: &AtomicBool| {
            let set = FeatureSet::new(2, rows.to_vec()).unwrap();
            how.fit(&set, labels, 2, cancel, &mut |_, _| {})
        };
        let misfit = |found: Result<TrainedHead>| match found {
            Err(Error::Learn(misfit)) => misfit,
            other => panic!("{other:?}"),
        };
        assert!(matches!(
            misfit(try_fit(&[], &[], &never)),
            Misfit::NoImages { .. }
        ));
        let few = misfit(try_fit(&[0.0; 4], &[1], &never));
        assert!(matches!(
            few,
            Misfit::Inconsistent {
                found: 1,
                expected: 2,
                ..
            }
        ));
        let unknown = misfit(try_fit(&[0.0; 4], &[1, 2], &never));
        assert!(matches!(
            unknown,
            Misfit::Label {
                index: 1,
                label: 2,
                ..
            }
        ));
        let stopped = try_fit(&[0.0; 4], &[0, 1], &AtomicBool::new(true));
        assert!(matches!(stopped, Err(Error::Interrupted)));
    }

    #[test]
    fn a_file_says_all_of_a_head() {
        let head = LinearHead {
            weight: vec![0.5, -1.0, 2.0, 0.25, 0.0, 1.0],
            bias: vec![0.1, -0.2],
        };
        let file = head.to_safetensors().unwrap();
        assert_eq!(LinearHead::from_safetensors(&file).unwrap(), head);
        assert_eq!((head.classes(), head.width()), (2, 3));
        assert!(LinearHead::from_safetensors(&file[..file.len() - 1]).is_err());
        let broken = LinearHead {
            weight: vec![f32::NAN; 2],
            bias: vec![0.0; 2],
        };
        assert!(LinearHead::from_safetensors(&broken.to_safetensors().unwrap()).is_err());
        let narrow = FeatureSet::new(2, vec![0.0; 2]).unwrap();
        assert!(head.probabilities(&narrow).is_err());
    }
}
