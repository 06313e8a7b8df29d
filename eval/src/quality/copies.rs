//! Images that copy what a generator was trained on.

use super::neighbours::nearest;
use super::{FeatureSet, QualityError};

/// The share of real images, not seen in training, that count as near copies by the rule: what copies nothing has about this share.
pub const COPY_QUANTILE: f64 = 0.02;

/// The share of synthetic images that lie nearer to an image of `seen` than all but [`COPY_QUANTILE`] of the `real` images, which
/// the generator has not seen, do. `None` where a set is empty.
///
/// # Errors
/// Features of different networks.
pub fn near_copies(
    seen: &FeatureSet,
    real: &FeatureSet,
    synthetic: &FeatureSet,
) -> Result<Option<f64>, QualityError> {
    if seen.is_empty() {
        return Ok(None);
    }
    Ok(ToSeen::measure(seen, real, synthetic)?.near_copies())
}

/// How far images lie from the nearest one that the generator was trained on.
pub(super) struct ToSeen {
    real: Vec<f32>,
    synthetic: Vec<f32>,
}

impl ToSeen {
    /// # Errors
    /// Features of different networks.
    pub(super) fn measure(
        seen: &FeatureSet,
        real: &FeatureSet,
        synthetic: &FeatureSet,
    ) -> Result<Self, QualityError> {
        Ok(Self {
            real: nearest(real, seen)?,
            synthetic: nearest(synthetic, seen)?,
        })
    }

    /// The same of some of the images, by their places.
    pub(super) fn of(&self, real: &[usize], synthetic: &[usize]) -> Self {
        let some = |all: &[f32], places: &[usize]| places.iter().map(|&i| all[i]).collect();
        Self {
            real: some(&self.real, real),
            synthetic: some(&self.synthetic, synthetic),
        }
    }

    /// See [`near_copies`].
    pub(super) fn near_copies(&self) -> Option<f64> {
        if self.real.is_empty() || self.synthetic.is_empty() {
            return None;
        }
        let mut usual = self.real.clone();
        usual.sort_unstable_by(f32::total_cmp);
        let threshold = quantile(&usual, COPY_QUANTILE);
        let is_near = |distance: &&f32| f64::from(**distance) < threshold;
        let copies = self.synthetic.iter().filter(is_near).count();
        Some(copies as f64 / self.synthetic.len() as f64)
    }
}

/// The quantile of sorted values, between neighbours in proportion, as NumPy's and PyTorch's default.
fn quantile(sorted: &[f32], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    let (low, high) = (f64::from(sorted[below]), f64::from(sorted[above]));
    low + (high - low) * (place - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_neighbours() {
        let sorted = [1.0, 2.0, 4.0];
        assert_eq!(quantile(&sorted, 0.0), 1.0);
        assert_eq!(quantile(&sorted, 0.25), 1.5);
        assert_eq!(quantile(&sorted, 1.0), 4.0);
        assert_eq!(quantile(&[3.0], 0.02), 3.0);
    }

    #[test]
    fn copies_are_counted_and_new_images_are_not() {
        let line = |places: &[f32]| FeatureSet::new(1, places.to_vec()).unwrap();
        let seen = line(&[0.0, 10.0, 20.0]);
        let real = line(&[3.0, 7.0, 13.0, 17.0]);
        let synthetic = line(&[0.1, 10.0, 4.0, 15.0]);
        assert_eq!(near_copies(&seen, &real, &synthetic).unwrap(), Some(0.5));
        assert_eq!(near_copies(&seen, &real, &line(&[])).unwrap(), None);
    }
}
