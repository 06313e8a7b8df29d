//! Images to latents and back.

use candle_core::{Device, Tensor};

use super::{CHANNELS, Draft, Pipeline};
use crate::engines::sd::autoencoder::Coded;
use crate::{Error, Image, Result};

impl Pipeline {
    /// The UNet's latents of an image, [4, h, w].
    pub(super) fn encode(&self, image: &Image) -> Result<Coded> {
        let (height, width) = (image.height() as usize, image.width() as usize);
        let pixels = Tensor::from_slice(image.values(), (1, height, width, 3), &self.device)?;
        let mut coded = self
            .vae
            .finite(|vae| Ok(vae.encode(&pixels)?.permute((0, 3, 1, 2))?))?;
        let (scale, shift) = self.scaling();
        for value in &mut coded.values {
            *value = (*value - shift) * scale;
        }
        Ok(coded)
    }

    fn scaling(&self) -> (f32, f32) {
        let config = self.vae.own().config();
        let shift = config.shift_factor.unwrap_or(0.0);
        (config.scaling_factor as f32, shift as f32)
    }

    /// One image at a time, so that memory does not grow with the batch.
    pub(super) fn decode(&self, draft: &Draft<'_>, latents: &[f32]) -> Result<Image> {
        let request = draft.request;
        let (h, w) = self.latent_size(request);
        let unscaled = |scale: f32, shift: f32| {
            let values = latents.iter().map(|v| v / scale + shift).collect();
            // The autoencoder chooses its own number format.
            Ok::<_, Error>(
                Tensor::from_vec(values, (1, CHANNELS, h, w), &Device::Cpu)?
                    .permute((0, 2, 3, 1))?
                    .contiguous()?
                    .to_device(&self.device)?,
            )
        };
        let decoded = match &self.tiny {
            Some(tiny) => Coded::of(&tiny.decode(&unscaled(tiny.scaling_factor() as f32, 0.0)?)?)?,
            None => {
                let (scale, shift) = self.scaling();
                let latents = unscaled(scale, shift)?;
                let tiled = request.height as usize * request.width as usize > self.tile_above;
                self.vae.finite(|vae| {
                    if tiled {
                        vae.decode_tiled(&latents)
                    } else {
                        vae.decode(&latents)
                    }
                })?
            }
        };
        let image = Image::rectangle(request.height, request.width, decoded.values)
            .ok_or_else(|| Error::Spec("the decoder gave an image of another size".into()))?;
        Ok(image.with_upcast(decoded.upcast))
    }
}
