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
        let Self {
            velocity,
            momentum,
            weight_decay,
        } = self;
        let (momentum, decay) = (*momentum, *weight_decay);
        for ((w, g), v) in weights.iter_mut().zip(gradients).zip(velocity) {
            if w.device().is_cpu() {
                let velocity = move |v: f32, w: f32, g: f32| momentum * v + (g + decay * w);
                let weight =
                    move |w: f32, g: f32, v: f32| w - rate * (g + decay * w + momentum * v);
                v.inplace_op3(w, g, &Update(velocity))?;
                w.inplace_op3(g, v, &Update(weight))?;
                continue;
            }
            let (momentum, decay) = (f64::from(momentum), f64::from(decay));
            let slope = (g + (&*w * decay)?)?;
            *v = ((&*v * momentum)? + &slope)?;
            *w = (&*w - ((slope + (&*v * momentum)?)? * f64::from(rate))?)?;
        }
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
