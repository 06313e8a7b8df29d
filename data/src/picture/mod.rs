//! One picture: from encoded bytes to RGB, or the reason why not.
//!
//! The decoders of the `image` crate fill in what a truncated JPEG lacks, take the first frame of an animation and
//! convert print colours and 16-bit channels silently. So each format's container is walked first, which touches no
//! pixels; only a picture that is whole, still, 8-bit and small enough is decoded.

mod bytes;
mod gif;
mod jpeg;
mod png;
mod tiff;
mod webp;

use std::io::Cursor;

use image::error::ImageError;
use image::{ColorType, DynamicImage, ExtendedColorType, ImageDecoder, ImageFormat, ImageReader};

use crate::{DecodeLimits, DecodedImage, SkipReason};

/// Why a picture cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfit {
    pub(crate) reason: SkipReason,
    pub(crate) detail: String,
}

impl Unfit {
    pub(crate) fn new(reason: SkipReason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}

/// Room for what decoders allocate besides the picture itself.
const DECODER_OVERHEAD: u64 = 16 << 20;

/// Most bytes that a pixel takes while a picture is decoded and converted: RGBA, then RGB.
const BYTES_PER_PIXEL: u64 = 7;

/// A picture whose header was read and found fit; not yet decoded.
pub(crate) struct Picture<D> {
    decoder: D,
}

/// Reads the container and header of a picture.
pub(crate) fn inspect<'a>(
    bytes: &'a [u8],
    limits: &DecodeLimits,
) -> Result<Picture<impl ImageDecoder + use<'a>>, Unfit> {
    if bytes.is_empty() {
        return Err(Unfit::new(SkipReason::Empty, "0 bytes"));
    }
    check_encoded_size(bytes.len() as u64, limits)?;
    let format = image::guess_format(bytes).map_err(|_| {
        Unfit::new(
            SkipReason::UnsupportedFormat,
            "the content is no JPEG, PNG, GIF, WebP, BMP or TIFF",
        )
    })?;
    match format {
        ImageFormat::Jpeg => jpeg::check(bytes)?,
        ImageFormat::Png => png::check(bytes)?,
        ImageFormat::Gif => gif::check(bytes)?,
        ImageFormat::WebP => webp::check(bytes)?,
        ImageFormat::Tiff => tiff::check(bytes)?,
        ImageFormat::Bmp => {}
        other => {
            return Err(Unfit::new(
                SkipReason::UnsupportedFormat,
                format!("{other:?} pictures are not supported"),
            ));
        }
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut decoder_limits = image::Limits::no_limits();
    decoder_limits.max_alloc = Some(
        limits
            .max_pixels
            .saturating_mul(BYTES_PER_PIXEL)
            .saturating_add(DECODER_OVERHEAD),
    );
    reader.limits(decoder_limits);
    let decoder = reader.into_decoder().map_err(unfit)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(Unfit::new(SkipReason::Corrupt, "it has no pixels"));
    }
    if pixels > limits.max_pixels {
        return Err(Unfit::new(
            SkipReason::TooLarge,
            format!(
                "{width}x{height} pixels, the limit is {} pixels",
                limits.max_pixels
            ),
        ));
    }
    check_colours(&decoder)?;
    Ok(Picture { decoder })
}

/// Whether the encoded bytes of a picture are few enough to be read.
pub(crate) fn check_encoded_size(bytes: u64, limits: &DecodeLimits) -> Result<(), Unfit> {
    if bytes <= limits.max_encoded_bytes {
        return Ok(());
    }
    Err(Unfit::new(
        SkipReason::TooLarge,
        format!(
            "{bytes} encoded bytes, the limit is {} bytes",
            limits.max_encoded_bytes
        ),
    ))
}

fn check_colours(decoder: &impl ImageDecoder) -> Result<(), Unfit> {
    if matches!(
        decoder.original_color_type(),
        ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16
    ) {
        return Err(Unfit::new(SkipReason::Cmyk, "print colours"));
    }
    match decoder.color_type() {
        ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8 => Ok(()),
        deep => Err(Unfit::new(
            SkipReason::SixteenBit,
            format!("channels of type {deep:?}"),
        )),
    }
}

impl<D: ImageDecoder> Picture<D> {
    /// Most bytes that decoding takes besides the encoded picture.
    pub(crate) fn decoding_bytes(&self) -> u64 {
        let (width, height) = self.decoder.dimensions();
        u64::from(width) * u64::from(height) * BYTES_PER_PIXEL
    }

    /// Decodes to RGB. An alpha channel is dropped, not blended; grey is repeated.
    pub(crate) fn decode(self) -> Result<DecodedImage, Unfit> {
        let rgb = DynamicImage::from_decoder(self.decoder)
            .map_err(unfit)?
            .into_rgb8();
        Ok(DecodedImage {
            width: rgb.width(),
            height: rgb.height(),
            pixels: rgb.into_raw(),
        })
    }
}

/// The reason behind a decoder's error.
fn unfit(error: ImageError) -> Unfit {
    let reason = match &error {
        ImageError::Limits(_) => SkipReason::TooLarge,
        ImageError::Unsupported(_) => SkipReason::UnsupportedFormat,
        _ if ends_early(&error) => SkipReason::Truncated,
        _ => SkipReason::Corrupt,
    };
    Unfit::new(reason, error.to_string())
}

/// Whether an error goes back to the end of the bytes.
fn ends_early(error: &ImageError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = match error {
        ImageError::IoError(error) => Some(error),
        other => std::error::Error::source(other),
    };
    while let Some(error) = cause {
        if error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == std::io::ErrorKind::UnexpectedEof)
        {
            return true;
        }
        cause = error.source();
    }
    false
}
