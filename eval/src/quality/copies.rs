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
    if seen.is_empty() || real.is_empty() || synthetic.is_empty() {
        return Ok(None);
    }
    let mut usual = nearest(real, seen)?;
    usual.sort_unstable_by(f32::total_cmp);
    let threshold = quantile(&usual, COPY_QUANTILE);
    let copies = nearest(synthetic, seen)?;
    let copies = copies.iter().filter(|d| f64::from(**d) < threshold).count();
    Ok(Some(copies as f64 / synthetic.len() as f64))
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
