//! Stochastic gradient descent with Nesterov momentum.

/// The momentum of every trained value.
pub(super) struct Sgd {
    velocity: Vec<f32>,
    momentum: f32,
    weight_decay: f32,
}

impl Sgd {
    pub(super) fn new(parameters: usize, momentum: f32, weight_decay: f32) -> Self {
        Self {
            velocity: vec![0.0; parameters],
            momentum,
            weight_decay,
        }
    }

    /// PyTorch's `SGD(nesterov=True)`: `g += weight_decay * w; v = momentum * v + g;
    /// w -= rate * (g + momentum * v)` (Sutskever et al. 2013, in the form of PyTorch's manual).
    pub(super) fn step(&mut self, weights: &mut [f32], gradient: &[f32], rate: f32) {
        let values = weights.iter_mut().zip(gradient).zip(&mut self.velocity);
        for ((w, g), v) in values {
            let g = g + self.weight_decay * *w;
            *v = self.momentum * *v + g;
            *w -= rate * (g + self.momentum * *v);
        }
    }
}
