//! Losses of representations, the same for a network of images and one of texts.
//!
//! A network whose outputs are a representation has no classes: its "logits" are the numbers of the representation, not yet of length 1.

use candle_core::{Device, Tensor};

use super::{HeadBatch, HeadGradients, Objective};
use crate::{Error, Result};

/// What a loss says of a batch of representations.
#[derive(Debug, Clone, PartialEq)]
pub struct OfRepresentations {
    /// The loss, the mean over the batch.
    pub loss: f64,
    /// Of the loss by the network's outputs, `[n, width]`.
    pub gradient: Vec<f32>,
    /// How many are told apart rightly, where the loss tells anything apart.
    pub correct: usize,
}

/// A loss of what a network makes of images or of texts.
pub trait RepresentationLoss: Send {
    /// Of a batch: `indices [n]` are the samples' positions in the training set, and `outputs [n, width]` what the network makes of them.
    ///
    /// # Errors
    /// What the loss itself holds does not fit the batch.
    fn of(&mut self, indices: &[usize], outputs: &[f32], width: usize)
    -> Result<OfRepresentations>;
}

/// Training a network of images by such a loss: its outputs take the place of logits. Images count alike, whatever their weights.
pub struct Representing<L>(pub L);

impl<L: RepresentationLoss> Objective for Representing<L> {
    fn head(&mut self, batch: &HeadBatch<'_>) -> Result<HeadGradients> {
        let found = self.0.of(batch.indices, batch.logits, batch.classes())?;
        Ok(HeadGradients {
            loss: found.loss as f32,
            correct: found.correct,
            logits: found.gradient,
            features: None,
        })
    }
}

/// Rows of length 1, with what a gradient needs to pass through the division.
pub(super) struct Units {
    /// `[n, width]`
    pub(super) values: Vec<f32>,
    lengths: Vec<f64>,
    width: usize,
}

/// Least length that is divided by, as in PyTorch.
const LEAST: f64 = 1e-12;

impl Units {
    /// Of rows `[n, width]`.
    pub(super) fn of(rows: &[f32], width: usize) -> Self {
        let rows = rows.chunks_exact(width.max(1));
        let mut units = Self {
            values: Vec::with_capacity(rows.len() * width),
            lengths: Vec::with_capacity(rows.len()),
            width,
        };
        for row in rows {
            let squares: f64 = row.iter().map(|v| f64::from(*v) * f64::from(*v)).sum();
            let length = squares.sqrt().max(LEAST);
            units
                .values
                .extend(row.iter().map(|v| (f64::from(*v) / length) as f32));
            units.lengths.push(length);
        }
        units
    }

    /// By the rows, from that by the rows of length 1: what is along a row is lost.
    pub(super) fn gradient(&self, of_units: &[f32]) -> Vec<f32> {
        let mut gradient = Vec::with_capacity(of_units.len());
        let rows = self
            .values
            .chunks_exact(self.width.max(1))
            .zip(of_units.chunks_exact(self.width.max(1)));
        for ((unit, of_unit), length) in rows.zip(&self.lengths) {
            let along: f64 = unit
                .iter()
                .zip(of_unit)
                .map(|(u, g)| f64::from(*u) * f64::from(*g))
                .sum();
            let each = unit.iter().zip(of_unit);
            gradient.extend(
                each.map(|(u, g)| ((f64::from(*g) - along * f64::from(*u)) / length) as f32),
            );
        }
        gradient
    }
}

/// Rows `[n, width]`, each divided by its length.
pub fn unit_rows(rows: &[f32], width: usize) -> Vec<f32> {
    Units::of(rows, width).values
}

/// Rows as a matrix `[n, width]`.
pub(super) fn matrix(rows: &[f32], width: usize) -> Result<Tensor> {
    let shape = (rows.len() / width.max(1), width);
    Ok(Tensor::from_slice(rows, shape, &Device::Cpu)?)
}

/// A matrix row after row.
pub(super) fn flat(matrix: &Tensor) -> Result<Vec<f32>> {
    Ok(matrix.flatten_all()?.to_vec1()?)
}

/// The row of a sample among rows `[n, width]` that a loss holds.
pub(super) fn row_of(rows: &[f32], index: usize, width: usize) -> Result<&[f32]> {
    let place = index * width;
    let row = rows.get(place..place + width);
    row.ok_or(Error::Inconsistent {
        role: "training",
        what: "values of representations to compare with",
        found: rows.len(),
        expected: place + width,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_length_one_and_gradients_are_across_them() {
        let rows = [3.0, 4.0, 0.0, -2.0];
        let units = Units::of(&rows, 2);
        assert_eq!(units.values, [0.6, 0.8, 0.0, -1.0]);
        // By hand: (g - u (u g)) / length, with g = (1, 0): (1 - 0.36, -0.48) / 5, and (1, 0) / 2.
        let gradient = units.gradient(&[1.0, 0.0, 1.0, 0.0]);
        for (found, expected) in gradient.iter().zip([0.128, -0.096, 0.5, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{gradient:?}");
        }
        assert!(unit_rows(&[0.0, 0.0], 2).iter().all(|v| *v == 0.0));
    }
}
