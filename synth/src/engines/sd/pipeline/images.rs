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
        let scale = self.vae.own().config().scaling_factor as f32;
        let plane = coded.values.len() / CHANNELS;
        for (channel, values) in coded.values.chunks_exact_mut(plane).enumerate() {
            let (mean, deviation) = self.statistics(channel);
            for value in values {
                *value = (*value - mean) * scale / deviation;
            }
        }
        Ok(coded)
    }

    /// One image at a time, so that memory does not grow with the batch.
    pub(super) fn decode(&self, draft: &Draft<'_>, latents: &[f32]) -> Result<Image> {
        let request = draft.request;
        let (h, w) = self.latent_size(request);
        let unscaled = |scale: f32, statistics: &dyn Fn(usize) -> (f32, f32)| {
            let planes = latents.chunks_exact(h * w).enumerate();
            let values = planes
                .flat_map(|(channel, plane)| {
                    let (mean, deviation) = statistics(channel);
                    plane.iter().map(move |v| v * deviation / scale + mean)
                })
                .collect();
            // The autoencoder chooses its own number format.
            Ok::<_, Error>(
                Tensor::from_vec(values, (1, CHANNELS, h, w), &Device::Cpu)?
                    .permute((0, 2, 3, 1))?
                    .contiguous()?
                    .to_device(&self.device)?,
            )
        };
        let decoded = match &self.tiny {
            Some(tiny) => {
                let latents = unscaled(tiny.scaling_factor() as f32, &|_| (0.0, 1.0))?;
                Coded::of(&tiny.decode(&latents)?)?
            }
            None => {
                let scale = self.vae.own().config().scaling_factor as f32;
                let latents = unscaled(scale, &|channel| self.statistics(channel))?;
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

    /// Mean and standard deviation of a channel of the autoencoder's latents; diffusers' pipelines before XL know of none.
    fn statistics(&self, channel: usize) -> (f32, f32) {
        if self.unet_config.is_xl() {
            self.vae.own().config().statistics(channel)
        } else {
            (0.0, 1.0)
        }
    }
}
