//! Embeddings of the timestep and of what else conditions the whole network.

use candle_core::{DType, Device, Tensor};
use promptfed_nn::linear::{Bias, Linear};
use promptfed_nn::load::Loader;
use promptfed_nn::{Activation, Result};

use super::config::UNetConfig;

/// Sines and cosines of numbers at `width / 2` frequencies (Ho et al. 2020, appendix B, after Vaswani et al. 2017), in
/// the precision in which diffusers computes them: [numbers, width].
pub(super) fn sinusoids(numbers: &[f32], width: usize, config: &UNetConfig) -> Vec<f32> {
    let half = width / 2;
    let frequencies: Vec<f32> = (0..half)
        .map(|i| (-(10000f64.ln() as f32) * i as f32 / (half as f32 - config.freq_shift)).exp())
        .collect();
    let mut out = Vec::with_capacity(numbers.len() * width);
    for number in numbers {
        let angles = || frequencies.iter().map(|f| number * f);
        if config.flip_sin_to_cos {
            out.extend(angles().map(f32::cos));
            out.extend(angles().map(f32::sin));
        } else {
            out.extend(angles().map(f32::sin));
            out.extend(angles().map(f32::cos));
        }
    }
    out
}

/// The embedding of a guidance scale for networks that are told it (Meng et al. 2023, section 3.1): [numbers, width].
pub fn guidance_embedding(scales: &[f32], width: usize) -> Vec<f32> {
    let half = width / 2;
    let step = 10000f64.ln() as f32 / (half.max(2) as f32 - 1.0);
    let mut out = Vec::with_capacity(scales.len() * width);
    for scale in scales {
        let w = (scale - 1.0) * 1000.0;
        let angles = || (0..half).map(|i| w * (-step * i as f32).exp());
        out.extend(angles().map(f32::sin));
        out.extend(angles().map(f32::cos));
        out.extend(std::iter::repeat_n(0.0, width % 2));
    }
    out
}

/// Two linear layers with SiLU between them.
struct Mlp {
    linear_1: Linear,
    linear_2: Linear,
}

impl Mlp {
    fn load(loader: &mut Loader, name: &str, inputs: usize, width: usize) -> Result<Self> {
        Ok(Self {
            linear_1: Linear::load(
                loader,
                &format!("{name}.linear_1"),
                inputs,
                width,
                Bias::Present,
            )?,
            linear_2: Linear::load(
                loader,
                &format!("{name}.linear_2"),
                width,
                width,
                Bias::Present,
            )?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let h = self.linear_1.forward_activated(x, Activation::Silu)?;
        self.linear_2.forward(&h)
    }
}

/// What the residual blocks know of the timestep, the pooled prompt, the sizes and the guidance scale.
pub(super) struct TimeEmbedding {
    config: UNetConfig,
    time: Mlp,
    guidance: Option<Linear>,
    added: Option<Mlp>,
    device: Device,
    dtype: DType,
}

/// Conditions of the whole image, for every row of a batch.
pub struct Conditions<'a> {
    /// Pooled prompts [n, d] and six sizes for each image, for Stable Diffusion XL.
    pub added: Option<(&'a Tensor, &'a [[f32; 6]])>,
    /// Guidance scales, for networks that are told them.
    pub guidance: Option<&'a [f32]>,
}

impl TimeEmbedding {
    pub(super) fn load(loader: &mut Loader, config: &UNetConfig) -> Result<Self> {
        let (channels, width) = (config.block_out_channels[0], config.time_width());
        let guidance = config
            .time_cond_proj_dim
            .map(|d| {
                let name = "time_embedding.cond_proj";
                Linear::load(loader, name, d, channels, Bias::Absent)
            })
            .transpose()?;
        let added = config
            .addition_embed_type
            .and(config.projection_class_embeddings_input_dim)
            .map(|d| Mlp::load(loader, "add_embedding", d, width))
            .transpose()?;
        Ok(Self {
            config: config.clone(),
            time: Mlp::load(loader, "time_embedding", channels, width)?,
            guidance,
            added,
            device: loader.device().clone(),
            dtype: loader.activations(),
        })
    }

    /// SiLU of the embedding, as every residual block takes it: [n, width].
    pub(super) fn forward(
        &self,
        timestep: f32,
        n: usize,
        conditions: &Conditions<'_>,
    ) -> Result<Tensor> {
        let channels = self.config.block_out_channels[0];
        let mut x = self.tensor(
            sinusoids(&vec![timestep; n], channels, &self.config),
            channels,
        )?;
        if let (Some(layer), Some(scales)) = (&self.guidance, conditions.guidance) {
            let width = self.config.time_cond_proj_dim.unwrap_or(0);
            let scales = self.tensor(guidance_embedding(scales, width), width)?;
            x = layer.forward_added(&scales, &x)?;
        }
        let mut embedding = self.time.forward(&x)?;
        if let Some(activation) = self.config.timestep_post_act {
            embedding = activation.forward(&embedding)?;
        }
        if let (Some(mlp), Some((pooled, sizes))) = (&self.added, conditions.added) {
            let width = self.config.addition_time_embed_dim.unwrap_or(0);
            let sizes = sinusoids(sizes.as_flattened(), width, &self.config);
            let sizes = self.tensor(sizes, 6 * width)?;
            let added = mlp.forward(&Tensor::cat(&[pooled, &sizes], 1)?)?;
            embedding = (embedding + added)?;
        }
        if let Some(activation) = self.config.time_embedding_act_fn {
            embedding = activation.forward(&embedding)?;
        }
        Ok(embedding.silu()?)
    }

    fn tensor(&self, values: Vec<f32>, width: usize) -> Result<Tensor> {
        let rows = values.len() / width.max(1);
        Ok(Tensor::from_vec(values, (rows, width), &self.device)?.to_dtype(self.dtype)?)
    }
}
