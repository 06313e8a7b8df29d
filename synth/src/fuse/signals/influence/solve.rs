//! The inverse Hessian times a gradient, in two ways.

use super::{Labelled, LastLayer};

impl LastLayer {
    /// Solves `(H + damping) s = gradient` by conjugate gradients to a relative residual of 1e-8, or `steps` steps.
    pub fn solve(
        &self,
        images: Labelled<'_>,
        damping: f64,
        gradient: &[f64],
        steps: usize,
    ) -> Vec<f64> {
        let mut solution = vec![0.0; gradient.len()];
        let mut residual = gradient.to_vec();
        let mut direction = residual.clone();
        let mut square = dot(&residual, &residual);
        let enough = square * 1e-16;
        for _ in 0..steps {
            if square <= enough {
                break;
            }
            let along = self.hessian_product(images, damping, &direction);
            let step = square / dot(&direction, &along);
            for i in 0..solution.len() {
                solution[i] += step * direction[i];
                residual[i] -= step * along[i];
            }
            let next = dot(&residual, &residual);
            for (direction, residual) in direction.iter_mut().zip(&residual) {
                *direction = residual + next / square * *direction;
            }
            square = next;
        }
        solution
    }

    /// The same by LiSSA (Agarwal et al. 2017), as FuseGen computes it: `s <- v + s - (H_i + damping) s / scale` over single images in
    /// order, and `s / scale` at the end. It converges where `scale` exceeds the largest eigenvalue and the steps are many times it.
    pub fn lissa(&self, images: Labelled<'_>, lissa: Lissa, gradient: &[f64]) -> Vec<f64> {
        let n = images.labels.len().max(1);
        let mut solution = gradient.to_vec();
        for step in 0..lissa.samples {
            let i = step % n;
            let one = Labelled {
                features: &images.features[i * self.width..(i + 1) * self.width],
                labels: &images.labels[i..=i],
            };
            let product = self.hessian_product(one, lissa.damping, &solution);
            for ((s, v), h) in solution.iter_mut().zip(gradient).zip(product) {
                *s += v - h / lissa.scale;
            }
        }
        solution.iter_mut().for_each(|s| *s /= lissa.scale);
        solution
    }
}

/// How LiSSA runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lissa {
    /// Added to the Hessian's diagonal. FuseGen: 5e-3.
    pub damping: f64,
    /// What the Hessian is divided by. FuseGen: 1e4.
    pub scale: f64,
    /// Steps, one image each. FuseGen: 100.
    pub samples: usize,
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
