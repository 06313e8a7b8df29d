//! Group normalisation with learned scale and shift.

use candle_core::{DType, Tensor};
use promptfed_kernels::{Kernels, group_norm as kernels};

use crate::activation::Activation;
use crate::cpu;
use crate::load::Loader;
use crate::{Error, Result};

/// (x - mean) / sqrt(variance + eps) gamma + beta, mean and biased variance over all positions of a group
/// of neighbouring channels (Wu and He 2018, eq. 1, 2 and 6).
pub struct GroupNorm {
    groups: usize,
    eps: f32,
    /// [c]
    gamma: Tensor,
    /// [c]
    beta: Tensor,
    /// The same values for the kernels.
    cpu: Option<Cpu>,
}

struct Cpu {
    kernels: Kernels,
    gamma: Vec<f32>,
    beta: Vec<f32>,
}

impl GroupNorm {
    /// Takes `name.weight` and `name.bias`, [channels] each; `groups` divides `channels`.
    ///
    /// # Errors
    /// See [`Loader::tensor`]; if the channels do not split into groups.
    pub fn load(
        loader: &mut Loader,
        name: &str,
        groups: usize,
        channels: usize,
        eps: f32,
    ) -> Result<Self> {
        if groups == 0 || !channels.is_multiple_of(groups) {
            return Err(Error::shapes("group normalisation", &[channels], &[groups]));
        }
        let gamma = loader.tensor(&format!("{name}.weight"), &[channels])?;
        let beta = loader.tensor(&format!("{name}.bias"), &[channels])?;
        let cpu = if loader.device().is_cpu() {
            Some(Cpu {
                kernels: cpu::kernels()?,
                gamma: cpu::values(&gamma)?,
                beta: cpu::values(&beta)?,
            })
        } else {
            None
        };
        Ok(Self {
            groups,
            eps,
            gamma,
            beta,
            cpu,
        })
    }

    /// Normalises `x` [n, .., c] (f32 on the CPU), each sample by itself, and applies `activation`.
    ///
    /// # Errors
    /// If `x` has another number of channels.
    pub fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        self.forward_as(x, activation, x.dtype())
    }

    /// [`GroupNorm::forward`] in the format of the layer that reads the result.
    ///
    /// # Errors
    /// If `x` has another number of channels.
    pub fn forward_as(&self, x: &Tensor, activation: Activation, dtype: DType) -> Result<Tensor> {
        let channels = self.gamma.elem_count();
        if x.rank() < 2 || x.dims().last() != Some(&channels) {
            return Err(Error::shapes("group normalisation", x.dims(), &[channels]));
        }
        let n = x.dim(0)?;
        if let Some(cpu) = &self.cpu {
            return Ok(cpu::map_f32(x, x.shape(), dtype, |x, output| {
                let norm = kernels::GroupNorm {
                    groups: self.groups,
                    eps: self.eps,
                    gamma: &cpu.gamma,
                    beta: &cpu.beta,
                    activation,
                };
                cpu.kernels.group_norm(x, n, norm, output);
            })?);
        }
        Ok(self.composite(x, activation)?.to_dtype(dtype)?)
    }

    /// The same by candle's operations: the path on CUDA. Sums are f32 whatever the type of `x`.
    fn composite(&self, x: &Tensor, activation: Activation) -> candle_core::Result<Tensor> {
        let (n, channels) = (x.dim(0)?, self.gamma.elem_count());
        let positions = x.elem_count() / (n * channels).max(1);
        let grouped =
            x.to_dtype(DType::F32)?
                .reshape((n, positions, self.groups, channels / self.groups))?;
        let mean = grouped.mean_keepdim((1, 3))?;
        let centred = grouped.broadcast_sub(&mean)?;
        let variance = centred.sqr()?.mean_keepdim((1, 3))?;
        let normed = centred.broadcast_div(&(variance + f64::from(self.eps))?.sqrt()?)?;
        let scaled = normed
            .reshape((n, positions, channels))?
            .broadcast_mul(&self.gamma)?
            .broadcast_add(&self.beta)?
            .reshape(x.shape())?
            .to_dtype(x.dtype())?;
        crate::activation::composite(activation, &scaled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fused::tests::{assert_close, normal};
    use candle_core::Device;

    #[test]
    fn agrees_with_its_composite_form() {
        let file = safetensors::serialize(
            [("n.weight", 1u64), ("n.bias", 2)].map(|(name, seed)| {
                let values = crate::noise::standard_normal(seed, 12);
                let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                (name, View(bytes))
            }),
            None,
        )
        .unwrap();
        let mut loader = Loader::from_bytes(&file, "test", &Device::Cpu).unwrap();
        let norm = GroupNorm::load(&mut loader, "n", 4, 12, 1e-5).unwrap();
        loader.finish().unwrap();
        let x = (normal(3, &[2, 5, 7, 12]) + 3.0).unwrap();
        for activation in [Activation::None, Activation::Silu] {
            let found = norm.forward(&x, activation).unwrap();
            assert_close(&found, &norm.composite(&x, activation).unwrap(), 1e-5);
        }
        assert!(
            norm.forward(&normal(4, &[2, 5, 11]), Activation::None)
                .is_err()
        );
    }

    struct View(Vec<u8>);

    impl safetensors::View for View {
        fn dtype(&self) -> safetensors::Dtype {
            safetensors::Dtype::F32
        }
        fn shape(&self) -> &[usize] {
            &[12]
        }
        fn data(&self) -> std::borrow::Cow<'_, [u8]> {
            (&self.0).into()
        }
        fn data_len(&self) -> usize {
            self.0.len()
        }
    }
}
