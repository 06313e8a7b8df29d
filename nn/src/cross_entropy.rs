//! Softmax cross-entropy with label smoothing and sample weights.

use candle_core::{D, Tensor};

use crate::Result;

/// The loss of a batch and what follows from it.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossEntropy {
    /// The weighted mean over the batch.
    pub loss: f32,
    /// Samples whose largest logit is at their label (the first, where several are largest).
    pub correct: usize,
    /// Of the loss by the logits, `[n, classes]`.
    pub gradient: Vec<f32>,
}

impl CrossEntropy {
    /// Multiplies the loss and its gradient.
    pub fn scale(&mut self, factor: f32) {
        self.loss *= factor;
        self.gradient.iter_mut().for_each(|g| *g *= factor);
    }
}

/// The cross-entropy between the softmax of `logits [n, classes]` and targets that put
/// `1 - smoothing` on the label and spread `smoothing` evenly over all classes (Szegedy et al. 2016,
/// section 7; PyTorch's `label_smoothing`). `weights [n]` weigh the samples' losses in the mean.
/// Weights that are all zero give loss and gradient zero.
///
/// # Panics
/// If a label is not below `classes` or the slices do not fit each other.
pub fn cross_entropy(
    logits: &[f32],
    labels: &[u32],
    weights: Option<&[f32]>,
    smoothing: f32,
) -> CrossEntropy {
    let classes = logits.len() / labels.len().max(1);
    assert_eq!(logits.len(), labels.len() * classes, "logits");
    assert!(weights.is_none_or(|w| w.len() == labels.len()), "weights");
    let total: f64 = match weights {
        Some(weights) => weights.iter().map(|&w| f64::from(w)).sum(),
        None => labels.len() as f64,
    };
    let mut loss = 0f64;
    let mut correct = 0;
    let mut gradient = vec![0.0; logits.len()];
    let rows = logits
        .chunks_exact(classes.max(1))
        .zip(gradient.chunks_exact_mut(classes.max(1)));
    for (i, (row, gradient)) in rows.enumerate() {
        let label = labels[i] as usize;
        let best = arg_max(row);
        correct += usize::from(best == label);
        let share = weights.map_or(1.0, |w| f64::from(w[i])) / total;
        if share.is_nan() || share <= 0.0 {
            continue;
        }
        let peak = f64::from(row[best]);
        let sum: f64 = row.iter().map(|&v| (f64::from(v) - peak).exp()).sum();
        let log_sum = peak + sum.ln();
        let smooth = f64::from(smoothing) / classes as f64;
        for (c, (g, &v)) in gradient.iter_mut().zip(row).enumerate() {
            let target = smooth
                + if c == label {
                    1.0 - f64::from(smoothing)
                } else {
                    0.0
                };
            let log_probability = f64::from(v) - log_sum;
            loss -= share * target * log_probability;
            *g = (share * (log_probability.exp() - target)) as f32;
        }
    }
    CrossEntropy {
        loss: loss as f32,
        correct,
        gradient,
    }
}

/// The place of the largest value, the first where several are largest.
pub fn arg_max(values: &[f32]) -> usize {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = i;
        }
    }
    best
}

/// Turns every row of `logits [n, classes]` into probabilities.
pub fn softmax(logits: &mut [f32], classes: usize) {
    for row in logits.chunks_exact_mut(classes) {
        let peak = row[arg_max(row)];
        let mut sum = 0.0;
        for v in row.iter_mut() {
            *v = (*v - peak).exp();
            sum += *v;
        }
        for v in row {
            *v /= sum;
        }
    }
}

/// The loss of [`cross_entropy`] out of candle's own operations: `logits [n, classes]`,
/// `labels [n]` (u32), `weights [n]`.
///
/// # Errors
/// If the shapes do not fit each other.
pub fn composite(
    logits: &Tensor,
    labels: &Tensor,
    weights: Option<&Tensor>,
    smoothing: f32,
) -> Result<Tensor> {
    let log_probabilities = candle_nn::ops::log_softmax(logits, D::Minus1)?;
    let of_label = log_probabilities
        .gather(&labels.unsqueeze(1)?, 1)?
        .squeeze(1)?;
    let spread = log_probabilities.mean(D::Minus1)?;
    let smoothing = f64::from(smoothing);
    let losses = ((of_label * (smoothing - 1.0))? - (spread * smoothing)?)?;
    Ok(match weights {
        Some(weights) => (losses * weights)?.sum_all()?.div(&weights.sum_all()?)?,
        None => losses.mean_all()?,
    })
}
