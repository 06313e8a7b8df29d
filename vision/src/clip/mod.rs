//! CLIP (Radford et al. 2021): images and texts in one space.

mod config;

use std::path::Path;

use candle_core::{D, Device, IndexOp, Tensor};
use promptfed_data::DecodedImage;
use promptfed_nn::attention::Mask;
use promptfed_nn::layer_norm::AffineLayerNorm;
use promptfed_nn::linear::{Bias, Linear};
use tokenizers::{Tokenizer, TruncationParams};

use self::config::ClipConfig;
use crate::folder;
use crate::image_encoder::ImageEncoder;
use crate::pixels::Preprocessing;
use crate::transformer::{Blocks, Layout};
use crate::{Error, Result};

/// A model with its weights in memory.
pub struct Clip {
    pixels: Preprocessing,
    images: ImageEncoder,
    image_projection: Linear,
    tokenizer: Tokenizer,
    /// [vocabulary, d]
    tokens: Tensor,
    /// [positions, d]
    positions: Tensor,
    blocks: Blocks,
    final_norm: AffineLayerNorm,
    text_projection: Linear,
    /// The token that ends texts.
    end: u32,
    /// By what the cosines are multiplied.
    scale: f32,
}

impl Clip {
    /// Loads `config.json`, `preprocessor_config.json`, `tokenizer.json` and `model.safetensors` (f16, bf16 or f32) of a folder.
    ///
    /// # Errors
    /// A file that is missing or not what it should be; tensors that are missing, unknown or of another shape, all in one
    /// error.
    pub fn load(dir: &Path) -> Result<Self> {
        let config = ClipConfig::read(&dir.join("config.json"))?;
        let (text, vision) = (&config.text_config, &config.vision_config);
        let pixels = Preprocessing::read(dir, vision.image_size)?;
        let mut tokenizer = folder::tokenizer(dir)?;
        tokenizer
            .with_padding(None)
            .with_truncation(Some(TruncationParams {
                max_length: text.max_position_embeddings,
                ..TruncationParams::default()
            }))
            .map_err(|e| folder::fault(&dir.join("tokenizer.json"), e.to_string()))?;
        let mut loader = folder::weights(dir)?;
        loader.ignore(|name| name.ends_with("embeddings.position_ids"));
        let images =
            ImageEncoder::load(&mut loader, vision, config.vision_act(), Layout::Separate)?;
        let (d, shared) = (text.hidden_size, config.projection_dim);
        let at = |name: &str| format!("text_model.{name}");
        let tokens = loader.tensor(
            &at("embeddings.token_embedding.weight"),
            &[text.vocab_size, d],
        )?;
        let positions = loader.tensor(
            &at("embeddings.position_embedding.weight"),
            &[text.max_position_embeddings, d],
        )?;
        let blocks = Blocks::load(
            &mut loader,
            &at("encoder.layers"),
            config.text_shape(),
            Layout::Separate,
        )?;
        let final_norm =
            AffineLayerNorm::load(&mut loader, &at("final_layer_norm"), d, text.layer_norm_eps)?;
        let mut projection =
            |name, inputs| Linear::load(&mut loader, name, inputs, shared, Bias::Absent);
        let image_projection = projection("visual_projection", vision.hidden_size)?;
        let text_projection = projection("text_projection", d)?;
        let scale = loader.tensor("logit_scale", &[])?.to_scalar::<f32>()?;
        loader.finish()?;
        Ok(Self {
            pixels,
            images,
            image_projection,
            tokenizer,
            tokens,
            positions,
            blocks,
            final_norm,
            text_projection,
            end: text.eos_token_id,
            scale: scale.exp(),
        })
    }

    /// Unit vectors of texts, [texts, d]. A text of more tokens than the model takes is cut.
    ///
    /// # Errors
    /// A text that cannot be tokenised.
    pub fn text_features(&self, texts: &[&str]) -> Result<Tensor> {
        let mut rows = Vec::with_capacity(texts.len());
        for text in texts {
            let ids = self
                .tokenizer
                .encode(*text, true)
                .map_err(|e| Error::Input(format!("text {text:?} cannot be tokenised: {e}")))?;
            let ids = ids.get_ids();
            if ids.is_empty() {
                return Err(Error::Input(format!("text {text:?} has no tokens")));
            }
            let x = self
                .tokens
                .index_select(&Tensor::new(ids, &Device::Cpu)?, 0)?
                .broadcast_add(&self.positions.i(..ids.len())?)?
                .unsqueeze(0)?;
            let x = self.blocks.forward(&x, Mask::Causal)?;
            let end = x.i((0, self.end_of(ids)))?.unsqueeze(0)?;
            rows.push(
                self.text_projection
                    .forward(&self.final_norm.forward(&end)?)?,
            );
        }
        unit(&Tensor::cat(&rows, 0)?)
    }

    /// Where the features of a text are: at its first end token. Configurations from before transformers 4.31 say 2 there, which
    /// no text holds: the largest id stands for it, as in transformers.
    fn end_of(&self, ids: &[u32]) -> usize {
        let end = match self.end {
            2 => ids.iter().copied().max().unwrap_or(0),
            end => end,
        };
        let found = ids.iter().position(|id| *id == end);
        found.unwrap_or(ids.len() - 1)
    }

    /// Unit vectors of images, [images, d].
    ///
    /// # Errors
    /// An image without pixels.
    pub fn image_features(&self, images: &[&DecodedImage]) -> Result<Tensor> {
        let mut rows = Vec::with_capacity(images.len());
        for image in images {
            let x = self.pixels.apply(image)?.unsqueeze(0)?;
            let class = self.images.forward(&x)?.i((.., 0))?;
            let pooled = self.images.normalise(&class)?;
            rows.push(self.image_projection.forward(&pooled)?);
        }
        unit(&Tensor::cat(&rows, 0)?)
    }

    /// The probability of each text of `text_features` for an image: the softmax of the scaled cosines (zero-shot
    /// classification, section 3.1.2).
    ///
    /// # Errors
    /// An image without pixels.
    pub fn scores(&self, image: &DecodedImage, text_features: &Tensor) -> Result<Vec<f32>> {
        let cosines = self
            .image_features(&[image])?
            .matmul(&text_features.t()?)?
            .squeeze(0)?
            .to_vec1::<f32>()?;
        let most = cosines.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let shares: Vec<f32> = cosines
            .iter()
            .map(|c| ((c - most) * self.scale).exp())
            .collect();
        let sum: f32 = shares.iter().sum();
        if !sum.is_finite() {
            return Err(Error::Input("CLIP gives no numbers for an image".into()));
        }
        Ok(shares.into_iter().map(|share| share / sum).collect())
    }
}

/// x / |x|
fn unit(x: &Tensor) -> Result<Tensor> {
    let length = x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
    Ok(x.broadcast_div(&length)?)
}
