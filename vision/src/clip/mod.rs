//! CLIP (Radford et al. 2021): images and texts in one space.

mod config;

use std::path::{Path, PathBuf};

use candle_core::{D, IndexOp, Tensor};
use promptfed_nn::linear::{Bias, Linear};
use promptfed_nn::load::folder::{Preferred, model_fault, weight_files};
use tokenizers::{Tokenizer, TruncationParams};

use self::config::ClipConfig;
use crate::image_encoder::ImageEncoder;
use crate::kind::Kind;
use crate::pixels::{Pixels, Preprocessing};
use crate::text_encoder::{Features, Projection, TextEncoder};
use crate::transformer::Layout;
use crate::{Error, Result, folder, tokenizer};

/// `eos_token_id` of configurations from before transformers 4.31; see [`TextEncoder::encode`].
const OLD_END: u32 = 2;

/// A model with its weights in memory.
pub struct Clip {
    files: Vec<PathBuf>,
    pixels: Preprocessing,
    images: ImageEncoder,
    image_projection: Linear,
    tokenizer: Tokenizer,
    /// Tokens that the text encoder knows.
    vocabulary: usize,
    texts: TextEncoder,
    /// By what the cosines are multiplied.
    scale: f32,
}

impl Clip {
    /// Loads a folder in the layout of the transformers library: `config.json`, `processor_config.json` or
    /// `preprocessor_config.json`, `tokenizer.json` or `vocab.json` with `merges.txt`, and `model.safetensors` (f16, bf16 or f32).
    ///
    /// # Errors
    /// A folder of another model; a file that is missing or not what it should be; settings that are not followed here; tensors
    /// that are missing, unknown or of another shape, all in one error.
    pub fn load(dir: &Path) -> Result<Self> {
        let sections = folder::config(dir, Kind::Clip)?;
        let config = ClipConfig::read(&sections)?;
        let (text, vision) = (&config.text_config, &config.vision_config);
        let pixels = Preprocessing::read(dir, Kind::Clip, vision.image_size)?;
        let (mut words, end) = tokenizer::read_clip(dir)?;
        let known = text.eos_token_id;
        if let Some(end) = end.filter(|end| ![*end, OLD_END].contains(&known)) {
            let reason = format!(
                "text_config.eos_token_id {known}: texts end with the token {end} of {}; restore both files of this model",
                words.files[0].display()
            );
            return Err(model_fault(sections.file(), reason).into());
        }
        words
            .tokenizer
            .with_padding(None)
            .with_truncation(Some(TruncationParams {
                max_length: text.max_position_embeddings,
                ..TruncationParams::default()
            }))
            .map_err(|e| model_fault(&words.files[0], e.to_string()))?;
        let mut loader = folder::open_weights(dir, Kind::Clip)?;
        let scale = loader.tensor("logit_scale", &[])?.to_scalar::<f32>()?;
        let images =
            ImageEncoder::load(&mut loader, vision, config.vision_act(), Layout::Separate)?;
        let (inputs, shared) = (vision.hidden_size, config.projection_dim);
        let name = "visual_projection";
        let image_projection = Linear::load(&mut loader, name, inputs, shared, Bias::Absent)?;
        let texts = TextEncoder::load(&mut loader, text, Features::Last, Projection::Needed)?;
        loader.finish()?;
        let mut files = vec![sections.file().to_owned()];
        files.extend(pixels.file().map(Path::to_owned));
        files.extend(words.files);
        files.extend(weight_files(dir, Preferred::Full)?);
        Ok(Self {
            files,
            pixels,
            images,
            image_projection,
            tokenizer: words.tokenizer,
            vocabulary: text.vocab_size,
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
    /// No text, or one that cannot be tokenised.
    pub fn text_features(&self, texts: &[&str]) -> Result<Tensor> {
        if texts.is_empty() {
            return Err(Error::Input("CLIP was given no text".into()));
        }
        let mut rows = Vec::with_capacity(texts.len());
        for text in texts {
            rows.extend(self.texts.encode(&[self.text_ids(text)?])?.pooled);
        }
        unit(&Tensor::cat(&rows, 0)?)
    }

    /// The tokens of a text, with those of begin and end.
    ///
    /// # Errors
    /// A text that cannot be tokenised, or with a token that the model does not know.
    pub fn text_ids(&self, text: &str) -> Result<Vec<u32>> {
        let encoded = self
            .tokenizer
            .encode(text, true)
            .map_err(|e| Error::Input(format!("text {text:?} cannot be tokenised: {e}")))?;
        let ids = encoded.get_ids();
        if ids.is_empty() {
            return Err(Error::Input(format!("text {text:?} has no tokens")));
        }
        let known = self.vocabulary;
        if let Some(place) = ids.iter().position(|id| *id as usize >= known) {
            return Err(Error::Input(format!(
                "text {text:?} has the token {:?} of id {}, and the model knows {known} tokens; use the tokenizer of this model",
                encoded.get_tokens()[place],
                ids[place]
            )));
        }
        Ok(ids.to_vec())
    }

    /// Unit vectors of images, [images, d].
    ///
    /// # Errors
    /// No image, or one without pixels.
    pub fn image_features(&self, images: &[Pixels<'_>]) -> Result<Tensor> {
        if images.is_empty() {
            return Err(Error::Input("CLIP was given no image".into()));
        }
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

/// x / |x|
fn unit(x: &Tensor) -> Result<Tensor> {
    let length = x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
    Ok(x.broadcast_div(&length)?)
}
