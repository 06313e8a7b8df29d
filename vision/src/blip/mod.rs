//! BLIP's captioner (Li et al. 2022): a text decoder that looks at an image.

mod config;
mod decoder;

use std::path::Path;

use candle_core::{Device, IndexOp, Tensor};
use promptfed_data::DecodedImage;
use promptfed_nn::load::folder::{Preferred, open_weights};
use tokenizers::Tokenizer;

use self::config::BlipConfig;
use self::decoder::{Decoder, Sight};
use crate::image_encoder::ImageEncoder;
use crate::pixels::Preprocessing;
use crate::tokenizer;
use crate::transformer::Layout;
use crate::{Error, Result};

/// Tokens of the longest caption, its beginning among them; transformers' default.
const LONGEST: usize = 20;

/// A model with its weights in memory.
pub struct Blip {
    pixels: Preprocessing,
    images: ImageEncoder,
    decoder: Decoder,
    tokenizer: Tokenizer,
    /// The token that captions begin with, and the one that ends them.
    ends: (u32, u32),
}

impl Blip {
    /// Loads `config.json`, `preprocessor_config.json`, `tokenizer.json` and `model.safetensors` (f16, bf16 or f32) of a folder
    /// of `BlipForConditionalGeneration`.
    ///
    /// # Errors
    /// A file that is missing or not what it should be; tensors that are missing, unknown or of another shape, all in one
    /// error.
    pub fn load(dir: &Path) -> Result<Self> {
        let config = BlipConfig::read(&dir.join("config.json"))?;
        let vision = &config.vision_config;
        let pixels = Preprocessing::read(dir, vision.image_size)?;
        let tokenizer = tokenizer::read(dir)?;
        let mut loader = open_weights(dir, Preferred::Full, &Device::Cpu)?;
        let images = ImageEncoder::load(&mut loader, vision, config.vision_act(), Layout::Fused)?;
        let decoder = Decoder::load(&mut loader, &config.text_config, vision.hidden_size)?;
        loader.finish()?;
        Ok(Self {
            pixels,
            images,
            decoder,
            tokenizer,
            ends: (
                config.text_config.bos_token_id,
                config.text_config.sep_token_id,
            ),
        })
    }

    /// The most likely caption word by word; the same image always gets the same.
    ///
    /// # Errors
    /// An image without pixels.
    pub fn caption(&self, image: &DecodedImage) -> Result<String> {
        let ids = self.caption_ids(image)?;
        self.tokenizer
            .decode(&ids, true)
            .map(|text| text.trim().to_owned())
            .map_err(|e| Error::Input(format!("a caption cannot be written: {e}")))
    }

    /// The tokens of [`Blip::caption`] without those at the ends.
    ///
    /// # Errors
    /// As [`Blip::caption`].
    pub fn caption_ids(&self, image: &DecodedImage) -> Result<Vec<u32>> {
        let sight = self.look(image)?;
        let (begin, end) = self.ends;
        let mut ids = vec![begin];
        while ids.len() < LONGEST.min(self.decoder.longest()) {
            let next = most_likely(&self.decoder.logits(&ids, &sight)?)?;
            if next == end {
                break;
            }
            ids.push(next);
        }
        Ok(ids.split_off(1))
    }

    /// The logits of every token after each of `ids`, [ids, vocabulary], for an image.
    ///
    /// # Errors
    /// Ids outside the vocabulary, or more than the decoder takes.
    pub fn logits(&self, image: &DecodedImage, ids: &[u32]) -> Result<Tensor> {
        self.decoder.logits(ids, &self.look(image)?)
    }

    /// The features of an image, [1 + patches, d].
    ///
    /// # Errors
    /// An image without pixels.
    pub fn image_features(&self, image: &DecodedImage) -> Result<Tensor> {
        let x = self.pixels.apply(image.into())?.unsqueeze(0)?;
        let x = self.images.forward(&x)?;
        Ok(self.images.normalise(&x)?.squeeze(0)?)
    }

    fn look(&self, image: &DecodedImage) -> Result<Sight> {
        self.decoder.see(&self.image_features(image)?.unsqueeze(0)?)
    }
}

/// The token of the largest logit after the last id.
fn most_likely(logits: &Tensor) -> Result<u32> {
    let last = logits.i(logits.dim(0)? - 1)?.to_vec1::<f32>()?;
    let mut best = 0;
    for (i, value) in last.iter().enumerate() {
        if value.is_nan() {
            return Err(Error::Input("the caption model gives no numbers".into()));
        }
        if *value > last[best] {
            best = i;
        }
    }
    Ok(best as u32)
}
