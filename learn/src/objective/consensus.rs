//! Representations that agree with the consensus of a federation.

use promptfed_nn::cross_entropy::cross_entropy;

use super::representation::{Units, flat, matrix, row_of};
use super::{OfRepresentations, RepresentationLoss};
use crate::{Error, Result};

/// CreamFL's regularisation of a client (Yu et al. 2023, "Multimodal Federated Learning via Contrastive Representation Ensemble", section 3.3),
/// of public pairs of images and captions, in one of the two modalities: `weight * (inter + intra)`, the mean over the batch, with `z` of length 1 and
///
/// - inter-modal contrast `-log(exp(z_k . other_k / tau) / sum_j exp(z_k . other_j / tau))` over all pairs `j` of the round: nearer to the
///   global representation of its own partner in the other modality than to those of all others;
/// - intra-modal contrast `-log(exp(z_k . same_k / tau) / (exp(z_k . same_k / tau) + exp(z_k . last_k / tau)))`: nearer to the global
///   representation of itself than to what the client's model made of it at the end of its last round.
#[derive(Debug, Clone, Copy)]
pub struct Consensus<'a> {
    /// The global representations in the other modality, `[pairs, width]`, of length 1.
    pub other: &'a [f32],
    /// The global ones in this modality, `[pairs, width]`.
    pub same: &'a [f32],
    /// What the client's model made of them at the end of its last round, `[pairs, width]`.
    pub last: &'a [f32],
    /// `tau`, above 0.
    pub temperature: f32,
    /// Weight of both, 0 or above.
    pub weight: f32,
}

impl RepresentationLoss for Consensus<'_> {
    fn of(
        &mut self,
        indices: &[usize],
        outputs: &[f32],
        width: usize,
    ) -> Result<OfRepresentations> {
        let pairs = self.other.len() / width.max(1);
        if let Some(index) = indices.iter().find(|index| **index >= pairs) {
            return Err(Error::Inconsistent {
                role: "training",
                what: "representations in the other modality",
                found: pairs,
                expected: index + 1,
            });
        }
        let tau = f64::from(self.temperature);
        let own = Units::of(outputs, width);
        let other = matrix(self.other, width)?;
        let scores = (matrix(&own.values, width)?.matmul(&other.t()?)? / tau)?;
        let partners: Vec<u32> = indices.iter().map(|index| *index as u32).collect();
        let inter = cross_entropy(&flat(&scores)?, &partners, None, 0.0);
        let slopes = matrix(&inter.gradient, pairs)?;
        let mut gradient = flat(&(slopes.matmul(&other)? / tau)?)?;
        let mut loss = f64::from(inter.loss);
        let rows = own.values.chunks_exact(width);
        let share = 1.0 / indices.len().max(1) as f64;
        for ((row, gradient), index) in rows.zip(gradient.chunks_exact_mut(width)).zip(indices) {
            let same = row_of(self.same, *index, width)?;
            let last = row_of(self.last, *index, width)?;
            let dot = |a: &[f32], b: &[f32]| -> f64 {
                let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
                products.sum()
            };
            let difference = (dot(row, same) - dot(row, last)) / tau;
            // -log sigmoid(difference)
            loss += share * ((-difference).max(0.0) + (-difference.abs()).exp().ln_1p());
            let slope = -share / (1.0 + difference.exp()) / tau;
            for ((g, s), l) in gradient.iter_mut().zip(same).zip(last) {
                *g += (slope * f64::from(s - l)) as f32;
            }
        }
        let weight = self.weight;
        gradient.iter_mut().for_each(|g| *g *= weight);
        Ok(OfRepresentations {
            loss: f64::from(weight) * loss,
            gradient: own.gradient(&gradient),
            correct: inter.correct,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Representing;
    use super::super::representation::unit_rows;
    use super::super::tests::{Example, assert_slopes};
    use super::*;
    use crate::Objective;

    fn rows(from: usize) -> Vec<f32> {
        let number = |i: usize| ((i * 29 + 5) % 17) as f32 / 8.0 - 1.0;
        let rows: Vec<f32> = (from..from + 20).map(number).collect();
        unit_rows(&rows, 4)
    }

    fn consensus([other, same, last]: &[Vec<f32>; 3]) -> Consensus<'_> {
        Consensus {
            other,
            same,
            last,
            temperature: 0.5,
            weight: 0.5,
        }
    }

    #[test]
    fn gradients_are_slopes() {
        let rows = [0, 20, 40].map(rows);
        assert_slopes(&mut Representing(consensus(&rows)));
    }

    #[test]
    fn who_is_at_the_consensus_pays_what_is_left_and_missing_rows_are_told() {
        // Two pairs along two axes, each at its place: log(1 + exp(-2)) between modalities, log 2 where the last model was there too.
        let axes = vec![1.0, 0.0, 0.0, 1.0];
        let mut there = Consensus {
            other: &axes,
            same: &axes,
            last: &axes,
            temperature: 0.5,
            weight: 1.0,
        };
        let found = there.of(&[0, 1], &[2.0, 0.0, 0.0, 7.0], 2).unwrap();
        let expected = (-2.0f64).exp().ln_1p() + 2f64.ln();
        assert!((found.loss - expected).abs() < 1e-6, "{found:?}");
        assert_eq!(found.correct, 2);
        let example = Example::new();
        for cut in 0..3 {
            let mut rows = [0, 20, 40].map(rows);
            rows[cut].truncate(16);
            let short = consensus(&rows);
            assert!(Representing(short).head(&example.batch()).is_err());
        }
    }
}
