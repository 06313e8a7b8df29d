//! One image as an engine hands it out.

use std::path::Path;

use ::image::ImageError;
use promptfed_prompts::ContentHash;

use crate::generation_record::RECORD_KEYWORD;
use crate::{Error, Result};

/// An RGB image of real numbers, [height, width, 3] (row, column, channel), nominally in [-1, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    height: u32,
    width: u32,
    values: Vec<f32>,
    upcast: bool,
}

impl Image {
    /// A square image from its values; `None` where their number is not size x size x 3.
    pub fn new(size: u32, values: Vec<f32>) -> Option<Self> {
        Self::rectangle(size, size, values)
    }

    /// An image from its values; `None` where their number is not height x width x 3.
    pub fn rectangle(height: u32, width: u32, values: Vec<f32>) -> Option<Self> {
        let fits = values.len() == height as usize * width as usize * 3;
        fits.then_some(Self {
            height,
            width,
            values,
            upcast: false,
        })
    }

    /// An image that overflow left without numbers.
    pub(crate) fn lost(height: u32, width: u32) -> Self {
        Self {
            height,
            width,
            values: vec![f32::NAN; height as usize * width as usize * 3],
            upcast: false,
        }
    }

    /// Notes that the engine had to compute in f32.
    pub(crate) fn with_upcast(self, upcast: bool) -> Self {
        Self { upcast, ..self }
    }

    /// Whether the engine had to compute the image's last part again in f32, because its own number format overflowed.
    pub fn is_upcast(&self) -> bool {
        self.upcast
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// The values, [height, width, 3].
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Whether every value is a finite number.
    pub fn is_finite(&self) -> bool {
        self.values.iter().all(|v| v.is_finite())
    }

    /// The image in 8 bits, [height, width, 3]: (v + 1) x 127.5, rounded half to even as PyTorch rounds, and clamped to
    /// [0, 255]; values that are not numbers become 0.
    pub fn to_rgb8(&self) -> Vec<u8> {
        self.values
            .iter()
            .map(|v| ((v + 1.0) * 127.5).round_ties_even() as u8)
            .collect()
    }

    /// The image as the bytes of a PNG file; the same image gives the same bytes.
    ///
    /// # Errors
    /// What the encoder says, as of an image without pixels.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        encode_png(self.height, self.width, &self.to_rgb8(), None)
    }

    /// Writes the image as a PNG file, whole or not at all.
    ///
    /// # Errors
    /// As [`Image::to_png`], and a file that cannot be written.
    pub fn save_png(&self, path: &Path) -> Result<()> {
        Ok(promptfed_files::write_whole(path, &self.to_png()?)?)
    }
}

/// Encodes [height, width, 3] pixels as PNG, with the text of a [`GenerationRecord`](crate::GenerationRecord) where there is one; the same
/// pixels and text give the same bytes.
pub(crate) fn encode_png(
    height: u32,
    width: u32,
    pixels: &[u8],
    record: Option<&str>,
) -> Result<Vec<u8>> {
    let fault = |error: png::EncodingError| Error::Png(ImageError::IoError(error.into()));
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    encoder.set_filter(png::Filter::Adaptive);
    if let Some(text) = record {
        encoder
            .add_itxt_chunk(RECORD_KEYWORD.to_owned(), text.to_owned())
            .map_err(fault)?;
    }
    let mut writer = encoder.write_header().map_err(fault)?;
    writer.write_image_data(pixels).map_err(fault)?;
    writer.finish().map_err(fault)?;
    Ok(bytes)
}

/// The pixel hash of a PNG file's bytes; `None` where they are no whole image.
pub(crate) fn png_pixel_hash(bytes: &[u8]) -> Option<ContentHash> {
    let format = ::image::ImageFormat::Png;
    let pixels = ::image::load_from_memory_with_format(bytes, format)
        .ok()?
        .to_rgb8();
    Some(pixel_hash(pixels.width(), pixels.as_raw()))
}

/// Hash of an image's width and pixels, the same for equal pictures whatever file they lie in.
pub(crate) fn pixel_hash(width: u32, pixels: &[u8]) -> ContentHash {
    let mut bytes = Vec::with_capacity(4 + pixels.len());
    bytes.extend_from_slice(&width.to_le_bytes());
    bytes.extend_from_slice(pixels);
    ContentHash::of(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bit_values_round_and_clamp() {
        let values = vec![
            -1.0,
            1.0,
            0.0,
            -7.0,
            7.0,
            f32::NAN,
            0.5,
            -0.5,
            0.996,
            0.0,
            0.0,
            0.0,
        ];
        let image = Image::new(2, values).unwrap();
        assert_eq!(
            &image.to_rgb8()[..9],
            &[0, 255, 128, 0, 255, 0, 191, 64, 254]
        );
        assert!(!image.is_finite());
        assert!(Image::new(2, vec![0.0; 11]).is_none());
    }

    #[test]
    fn png_keeps_the_pixels() {
        let values = (0..48).map(|i| i as f32 / 24.0 - 1.0).collect();
        let image = Image::rectangle(2, 8, values).unwrap();
        let back = ::image::load_from_memory(&image.to_png().unwrap())
            .unwrap()
            .to_rgb8();
        assert_eq!(back.as_raw(), &image.to_rgb8());
    }
}
