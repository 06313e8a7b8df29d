//! CLIP (Radford et al. 2021): images and texts in one space.

mod config;

use std::path::{Path, PathBuf};

use candle_core::{D, Device, IndexOp, Tensor};
use promptfed_nn::linear::{Bias, Linear};
use promptfed_nn::load::folder::{Preferred, model_fault, open_weights, weight_files};
use tokenizers::{Tokenizer, TruncationParams};

use self::config::ClipConfig;
use crate::image_encoder::ImageEncoder;
use crate::pixels::{Pixels, Preprocessing};
use crate::text_encoder::{Features, Projection, TextEncoder};
use crate::tokenizer;
use crate::transformer::Layout;
use crate::{Error, Result};

/// A model with its weights in memory.
pub struct Clip {
    files: Vec<PathBuf>,
    pixels: Preprocessing,
    images: ImageEncoder,
    image_projection: Linear,
    tokenizer: Tokenizer,
    texts: TextEncoder,
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
        let mut tokenizer = tokenizer::read(dir)?;
        tokenizer
            .with_padding(None)
            .with_truncation(Some(TruncationParams {
                max_length: text.max_position_embeddings,
                ..TruncationParams::default()
            }))
            .map_err(|e| model_fault(&dir.join("tokenizer.json"), e.to_string()))?;
        let mut loader = open_weights(dir, Preferred::Full, &Device::Cpu)?;
        let scale = loader.tensor("logit_scale", &[])?.to_scalar::<f32>()?;
        let images =
            ImageEncoder::load(&mut loader, vision, config.vision_act(), Layout::Separate)?;
        let (inputs, shared) = (vision.hidden_size, config.projection_dim);
        let name = "visual_projection";
        let image_projection = Linear::load(&mut loader, name, inputs, shared, Bias::Absent)?;
        let texts = TextEncoder::load(&mut loader, text, Features::Last, Projection::Needed)?;
        loader.finish()?;
        Ok(Self {
            files: files(dir)?,
            pixels,
            images,
            image_projection,
            tokenizer,
            texts,
            scale: scale.exp(),
        })
    }

    /// The files that it was loaded from: configuration, preprocessing, tokenizer, weights.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
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
            let ids = ids.get_ids().to_vec();
            if ids.is_empty() {
                return Err(Error::Input(format!("text {text:?} has no tokens")));
            }
            rows.extend(self.texts.encode(&[ids])?.pooled);
        }
        unit(&Tensor::cat(&rows, 0)?)
    }

    /// Unit vectors of images, [images, d].
    ///
    /// # Errors
    /// An image without pixels.
    pub fn image_features(&self, images: &[Pixels<'_>]) -> Result<Tensor> {
        let mut rows = Vec::with_capacity(images.len());
        for image in images {
            let x = self.pixels.apply(*image)?.unsqueeze(0)?;
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
    pub fn scores<'a>(
        &self,
        image: impl Into<Pixels<'a>>,
        text_features: &Tensor,
    ) -> Result<Vec<f32>> {
        let cosines = self
            .image_features(&[image.into()])?
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

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let small = ["config.json", "preprocessor_config.json", "tokenizer.json"];
    let mut files: Vec<PathBuf> = small.iter().map(|name| dir.join(name)).collect();
    files.extend(weight_files(dir, Preferred::Full)?);
    Ok(files)
}

/// x / |x|
fn unit(x: &Tensor) -> Result<Tensor> {
    let length = x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
    Ok(x.broadcast_div(&length)?)
}
