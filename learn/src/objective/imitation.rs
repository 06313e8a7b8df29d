//! Representations as they were told.

use super::representation::{Units, row_of};
use super::{OfRepresentations, RepresentationLoss};
use crate::Result;

/// CreamFL's distillation at the server (Yu et al. 2023, section 3.2): `weight` times the squared distance of the representation, of length 1, from the one
/// that was made of the clients', the mean over the batch.
#[derive(Debug, Clone)]
pub struct Imitation {
    /// What is to be said of every sample, `[samples, width]`.
    pub goal: Vec<f32>,
    /// 0 or above.
    pub weight: f32,
}

impl RepresentationLoss for Imitation {
    fn of(
        &mut self,
        indices: &[usize],
        outputs: &[f32],
        width: usize,
    ) -> Result<OfRepresentations> {
        let own = Units::of(outputs, width);
        let share = f64::from(self.weight) / indices.len().max(1) as f64;
        let (mut loss, mut gradient) = (0.0, Vec::with_capacity(outputs.len()));
        for (row, index) in own.values.chunks_exact(width).zip(indices) {
            let goal = row_of(&self.goal, *index, width)?;
            for (value, goal) in row.iter().zip(goal) {
                let apart = f64::from(*value) - f64::from(*goal);
                loss += share * apart * apart;
                gradient.push((2.0 * share * apart) as f32);
            }
        }
        Ok(OfRepresentations {
            loss,
            gradient: own.gradient(&gradient),
            correct: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Representing;
    use super::super::tests::assert_slopes;
    use super::*;

    #[test]
    fn gradients_are_slopes() {
        let goal = (0..20).map(|i| ((i * 13 + 3) % 11) as f32 / 11.0 - 0.5);
        assert_slopes(&mut Representing(Imitation {
            goal: goal.collect(),
            weight: 0.3,
        }));
    }

    #[test]
    fn nothing_is_left_where_it_is_said() {
        let mut imitation = Imitation {
            goal: vec![0.6, 0.8],
            weight: 2.0,
        };
        let found = imitation.of(&[0], &[3.0, 4.0], 2).unwrap();
        assert!(found.loss < 1e-12 && found.gradient.iter().all(|g| g.abs() < 1e-6));
        // A right angle: the squared distance is 2.
        let found = imitation.of(&[0], &[-0.8, 0.6], 2).unwrap();
        assert!((found.loss - 4.0).abs() < 1e-6);
        assert!(imitation.of(&[1], &[1.0, 0.0], 2).is_err());
    }
}
