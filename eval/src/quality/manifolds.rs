//! Where real and synthetic images lie relative to each other.

use serde::Serialize;

use super::neighbours::{radii, squared_distances};
use super::{FeatureSet, QualityError};

/// Fidelity and variety of synthetic images, from balls around images that reach to their `k`th nearest neighbour in their own set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Manifolds {
    /// Share of synthetic images in the ball of any real one, 0 to 1 (Kynkäänniemi et al. 2019, eq. 2).
    pub precision: f64,
    /// Share of real images in the ball of any synthetic one, 0 to 1 (the same with the roles exchanged).
    pub recall: f64,
    /// Real balls that a synthetic image lies in, on average, over `k`; about 1 for images like the real ones, more for
    /// typical ones (Naeem et al. 2020, eq. 3).
    pub density: f64,
    /// Share of real balls that hold a synthetic image, 0 to 1 (Naeem et al. 2020, eq. 4).
    pub coverage: f64,
}

impl Manifolds {
    /// Measures `synthetic` beside `real` with `k` neighbours.
    ///
    /// # Errors
    /// [`QualityError::TooFew`] where a set has not more than `k` images; features of different networks.
    pub fn measure(
        real: &FeatureSet,
        synthetic: &FeatureSet,
        k: usize,
    ) -> Result<Self, QualityError> {
        for (role, set) in [("real", real), ("synthetic", synthetic)] {
            if k == 0 || set.len() <= k {
                let images = set.len();
                return Err(QualityError::TooFew { role, images, k });
            }
        }
        let (real_radii, synthetic_radii) = (radii(real, k)?, radii(synthetic, k)?);
        let mut recalled = 0usize;
        let mut covered = 0usize;
        let mut balls = vec![0usize; synthetic.len()];
        squared_distances(real, synthetic, |index, row| {
            let radius = real_radii[index];
            let mut is_recalled = false;
            let mut is_covered = false;
            for ((squared, own), balls) in row.iter().zip(&synthetic_radii).zip(&mut balls) {
                let distance = squared.sqrt();
                is_recalled |= distance < *own;
                if distance < radius {
                    is_covered = true;
                    *balls += 1;
                }
            }
            recalled += usize::from(is_recalled);
            covered += usize::from(is_covered);
        })?;
        let (reals, synthetics) = (real.len() as f64, synthetic.len() as f64);
        let inside = balls.iter().filter(|&&n| n > 0).count();
        Ok(Self {
            precision: inside as f64 / synthetics,
            recall: recalled as f64 / reals,
            density: balls.iter().sum::<usize>() as f64 / (k as f64 * synthetics),
            coverage: covered as f64 / reals,
        })
    }
}
