//! Stochastic gradient descent with Nesterov momentum.

use candle_core::{CpuStorage, InplaceOp3, Layout, Result, Tensor};
use rayon::prelude::*;

/// Values of one task.
const TASK: usize = 1 << 16;

/// The momentum of every trained tensor.
pub(super) struct Sgd {
    velocity: Vec<Tensor>,
    momentum: f32,
    weight_decay: f32,
}

impl Sgd {
    pub(super) fn new(trained: &[Tensor], momentum: f32, weight_decay: f32) -> Result<Self> {
        let zeros =
            |tensor: &Tensor| Tensor::zeros(tensor.shape(), tensor.dtype(), tensor.device());
        Ok(Self {
            velocity: trained.iter().map(zeros).collect::<Result<_>>()?,
            momentum,
            weight_decay,
        })
    }

    /// PyTorch's `SGD(nesterov=True)`: `g += weight_decay * w; v = momentum * v + g;
    /// w -= rate * (g + momentum * v)` (Sutskever et al. 2013, in the form of PyTorch's manual).
    ///
    /// Changes the weights in place.
    pub(super) fn step(
        &mut self,
        weights: &mut [Tensor],
        gradients: &[Tensor],
        rate: f32,
    ) -> Result<()> {
        let rule = Rule {
            rate,
            momentum: self.momentum,
            decay: self.weight_decay,
        };
        let tensors = weights.iter_mut().zip(gradients).zip(&mut self.velocity);
        for ((weight, gradient), velocity) in tensors {
            if weight.device().is_cpu() {
                rule.in_place(weight, gradient, velocity)?;
            } else {
                rule.by_operations(weight, gradient, velocity)?;
            }
        }
        Ok(())
    }
}

/// One step of one tensor.
#[derive(Clone, Copy)]
struct Rule {
    rate: f32,
    momentum: f32,
    decay: f32,
}

impl Rule {
    fn in_place(self, weight: &Tensor, gradient: &Tensor, velocity: &Tensor) -> Result<()> {
        let Self {
            rate,
            momentum,
            decay,
        } = self;
        let of_velocity = move |v: f32, w: f32, g: f32| momentum * v + (g + decay * w);
        let of_weight = move |w: f32, g: f32, v: f32| w - rate * (g + decay * w + momentum * v);
        velocity.inplace_op3(weight, gradient, &Update(of_velocity))?;
        weight.inplace_op3(gradient, velocity, &Update(of_weight))
    }

    /// The same by candle's operations, into new tensors: on CUDA.
    fn by_operations(
        self,
        weight: &mut Tensor,
        gradient: &Tensor,
        velocity: &mut Tensor,
    ) -> Result<()> {
        let [rate, momentum, decay] = [self.rate, self.momentum, self.decay].map(f64::from);
        let slope = (gradient + (&*weight * decay)?)?;
        *velocity = ((&*velocity * momentum)? + &slope)?;
        *weight = (&*weight - ((slope + (&*velocity * momentum)?)? * rate)?)?;
        Ok(())
    }
}

/// Replaces each value of the first tensor by a function of those of all three.
struct Update<F>(F);

impl<F: Fn(f32, f32, f32) -> f32 + Sync> InplaceOp3 for Update<F> {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn cpu_fwd(
        &self,
        to: &mut CpuStorage,
        to_layout: &Layout,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<()> {
        let CpuStorage::F32(to) = to else {
            candle_core::bail!("trained tensors are f32");
        };
        let place = |layout: &Layout| match layout.contiguous_offsets() {
            Some((start, end)) => Ok(start..end),
            None => candle_core::bail!("trained tensors are contiguous"),
        };
        let to = to[place(to_layout)?].par_chunks_mut(TASK);
        let a = a.as_slice::<f32>()?[place(a_layout)?].par_chunks(TASK);
        let b = b.as_slice::<f32>()?[place(b_layout)?].par_chunks(TASK);
        to.zip(a).zip(b).for_each(|((to, a), b)| {
            for (to, (a, b)) in to.iter_mut().zip(a.iter().zip(b)) {
                *to = (self.0)(*to, *a, *b);
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use promptfed_nn::noise::standard_normal;

    #[test]
    fn both_ways_take_the_same_steps() {
        let tensor = |seed: u64| {
            let values = standard_normal(seed, 70_000);
            Tensor::from_vec(values, (700, 100), &Device::Cpu).unwrap()
        };
        let rule = Rule {
            rate: 0.1,
            momentum: 0.9,
            decay: 0.01,
        };
        let zeros = tensor(0).zeros_like().unwrap();
        let [mut w, mut v] = [tensor(1), zeros.copy().unwrap()];
        let [in_place_w, in_place_v] = [tensor(1), zeros.copy().unwrap()];
        for seed in 2..5 {
            let g = tensor(seed);
            rule.by_operations(&mut w, &g, &mut v).unwrap();
            rule.in_place(&in_place_w, &g, &in_place_v).unwrap();
        }
        for (a, b) in [(w, in_place_w), (v, in_place_v)] {
            let apart = (a - b).unwrap().abs().unwrap().max_all().unwrap();
            assert!(apart.to_scalar::<f32>().unwrap() < 1e-5);
        }
    }
}
