//! Logistic regression.

use super::solve::dot;
use super::{Labelled, LastLayer};

/// Most steps of a fit, and of the conjugate gradients inside each.
const NEWTON_STEPS: usize = 12;
const NEWTON_INNER_STEPS: usize = 30;

impl LastLayer {
    /// Logistic regression: the weights with the least mean cross-entropy over `images` plus `decay / 2` times their squared length, by
    /// Newton's method from zero with steps by conjugate gradients.
    pub fn fit(images: Labelled<'_>, width: usize, classes: usize, decay: f64) -> Self {
        let mut layer = Self {
            classes,
            width,
            weight: vec![0.0; classes * (width + 1)],
        };
        for _ in 0..NEWTON_STEPS {
            let mut gradient = layer.mean(images, |p, label| {
                let of_class = |(class, p): (usize, &f64)| p - f64::from(u8::from(class == label));
                p.iter().enumerate().map(of_class).collect()
            });
            for (gradient, weight) in gradient.iter_mut().zip(&layer.weight) {
                *gradient += decay * weight;
            }
            let step = layer.solve(images, decay, &gradient, NEWTON_INNER_STEPS);
            let before = layer.objective(images, decay);
            let at = layer.weight.clone();
            let mut length = 1.0;
            // Far from the minimum a whole step may go beyond it.
            while length > 1e-3 {
                for ((weight, at), step) in layer.weight.iter_mut().zip(&at).zip(&step) {
                    *weight = at - length * step;
                }
                if layer.objective(images, decay) <= before {
                    break;
                }
                length /= 2.0;
            }
            if dot(&step, &step).sqrt() * length < 1e-4 * (1.0 + dot(&at, &at).sqrt()) {
                break;
            }
        }
        layer
    }

    fn objective(&self, images: Labelled<'_>, decay: f64) -> f64 {
        let rows = images.features.chunks_exact(self.width.max(1));
        let losses = rows.zip(images.labels).map(|(row, label)| {
            let p = self.probabilities(row);
            -p.get(*label as usize)
                .copied()
                .unwrap_or(0.0)
                .max(1e-300)
                .ln()
        });
        let n = images.labels.len().max(1) as f64;
        losses.sum::<f64>() / n + decay / 2.0 * dot(&self.weight, &self.weight)
    }
}
