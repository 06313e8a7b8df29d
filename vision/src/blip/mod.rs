//! BLIP's captioner (Li et al. 2022): a text decoder that looks at an image.

mod config;
mod decoder;
mod generation;
mod search;

use std::path::Path;

use candle_core::{IndexOp, Tensor};
use promptfed_data::DecodedImage;
use tokenizers::Tokenizer;

use self::config::BlipConfig;
use self::decoder::{Decoder, Sight};
use self::generation::Generation;
use crate::image_encoder::ImageEncoder;
use crate::kind::Kind;
use crate::pixels::Preprocessing;
use crate::transformer::Layout;
use crate::{Error, Result, folder, tokenizer};

/// A model with its weights in memory.
pub struct Blip {
    pixels: Preprocessing,
    images: ImageEncoder,
    decoder: Decoder,
    tokenizer: Tokenizer,
    generation: Generation,
    /// The token that captions begin with, and the one that ends them.
    ends: (u32, u32),
}

impl Blip {
    /// Loads a folder of `BlipForConditionalGeneration` in the layout of the transformers library: `config.json`,
    /// `processor_config.json` or `preprocessor_config.json`, `tokenizer.json`, `model.safetensors` (f16, bf16 or f32), and
    /// `generation_config.json`, where it is there.
    ///
    /// # Errors
    /// A folder of another model; a file that is missing or not what it should be; settings that are not followed here; tensors
    /// that are missing, unknown or of another shape, all in one error.
    pub fn load(dir: &Path) -> Result<Self> {
        let sections = folder::config(dir, Kind::Blip)?;
        let config = BlipConfig::read(&sections)?;
        let (text, vision) = (&config.text_config, &config.vision_config);
        let pixels = Preprocessing::read(dir, Kind::Blip, vision.image_size)?;
        let tokenizer = tokenizer::read(dir)?.tokenizer;
        let generation = Generation::read(dir, &sections, text.max_position_embeddings)?;
        let mut loader = folder::open_weights(dir, Kind::Blip)?;
        let images = ImageEncoder::load(&mut loader, vision, config.vision_act(), Layout::Fused)?;
        let decoder = Decoder::load(&mut loader, text, vision.hidden_size)?;
        loader.finish()?;
        Ok(Self {
            pixels,
            images,
            decoder,
            tokenizer,
            generation,
            ends: (text.bos_token_id, text.sep_token_id),
        })
    }

    /// The caption that the folder's settings of generation choose: the most likely word each time unless they say otherwise, and
    /// at most 20 tokens. The same image always gets the same.
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
        search::search(&self.generation, self.ends, |ids| {
            let logits = self.decoder.logits(ids, &sight)?;
            Ok(logits.i(ids.len() - 1)?.to_vec1::<f32>()?)
        })
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
