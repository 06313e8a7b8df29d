//! One picture: from encoded bytes to RGB as a person would see it, or the reason why not.
//!
//! The decoders of the `image` crate fill in what a truncated JPEG lacks and do not say what they leave out. So each
//! format's container is walked first, which touches no pixels; only a picture that is whole and small enough is decoded,
//! and what its decoding changes is told.

mod bytes;
mod container;
mod dicom;
mod foreign;
mod gif;
mod jpeg;
mod png;
mod rgb;
mod tiff;
mod webp;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Cursor;

use image::error::ImageError;
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ExtendedColorType, ImageDecoder, ImageFormat, ImageReader};

use crate::{Adjustment, DecodeLimits, DecodedImage, SkipReason};
use container::Container;
pub(crate) use foreign::EXTENSIONS as EXTENSIONS_NOT_READ;

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

/// Most bytes of a pixel as decoders deliver it: four channels of 16 bits.
const BYTES_PER_PIXEL: u64 = 8;

/// Bytes of a pixel in RGB.
const RGB_BYTES: u64 = 3;

/// A picture whose header was read and found fit; not yet decoded.
pub(crate) struct Picture<'a>(Kind<'a>);

enum Kind<'a> {
    Image {
        decoder: Box<dyn ImageDecoder + 'a>,
        container: Container,
    },
    Dicom(dicom::Frame<'a>),
}

/// A decoded picture, and what its decoding changed.
pub(crate) type Decoded = (DecodedImage, BTreeSet<Adjustment>);

/// Whether a file that begins with these bytes may be a picture, also of a kind that is not read.
pub(crate) fn starts_like_a_picture(bytes: &[u8]) -> bool {
    image::guess_format(bytes).is_ok() || bytes.get(4..8) == Some(b"ftyp") || dicom::is_dicom(bytes)
}

/// Reads the container and header of a picture.
pub(crate) fn inspect<'a>(bytes: &'a [u8], limits: &DecodeLimits) -> Result<Picture<'a>, Unfit> {
    if bytes.is_empty() {
        return Err(Unfit::new(SkipReason::Empty, "0 bytes"));
    }
    check_encoded_size(bytes.len() as u64, limits)?;
    if dicom::is_dicom(bytes) {
        return dicom::inspect(bytes, limits).map(|frame| Picture(Kind::Dicom(frame)));
    }
    let format = image::guess_format(bytes).ok();
    let mut content = Cow::Borrowed(bytes);
    let mut container = match format {
        Some(ImageFormat::Jpeg) => jpeg::check(bytes)?,
        Some(ImageFormat::Png) => {
            content = png::without_inflated(bytes)?;
            png::check(bytes)?
        }
        Some(ImageFormat::Gif) => gif::check(bytes)?,
        Some(ImageFormat::WebP) => webp::check(bytes)?,
        Some(ImageFormat::Tiff) => tiff::check(bytes)?,
        Some(ImageFormat::Bmp) => Container::default(),
        _ => return Err(foreign(bytes)),
    };
    let mut reader = ImageReader::new(Cursor::new(content));
    if let Some(format) = format {
        reader.set_format(format);
    }
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
    check_dimensions(width, height, limits)?;
    container.adjustments.extend(adjustment_of(&decoder)?);
    Ok(Picture(Kind::Image {
        decoder: Box::new(decoder),
        container,
    }))
}

/// Whether a picture of this size may be decoded.
fn check_dimensions(width: u32, height: u32, limits: &DecodeLimits) -> Result<(), Unfit> {
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
    Ok(())
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

fn foreign(bytes: &[u8]) -> Unfit {
    let detail = match foreign::name(bytes) {
        Some((name, remedy)) => format!("it is {name}; {remedy}"),
        None => "the content is no JPEG, PNG, GIF, WebP, BMP, TIFF or DICOM; convert it to PNG"
            .to_owned(),
    };
    Unfit::new(SkipReason::UnsupportedFormat, detail)
}

/// What conversion to 8-bit RGB changes.
fn adjustment_of(decoder: &impl ImageDecoder) -> Result<Option<Adjustment>, Unfit> {
    if matches!(
        decoder.original_color_type(),
        ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16
    ) {
        return Ok(Some(Adjustment::PrintColours));
    }
    match decoder.color_type() {
        ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8 => Ok(None),
        ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => {
            Ok(Some(Adjustment::DeepChannels))
        }
        _ => Err(rgb::floating_point()),
    }
}

impl Picture<'_> {
    /// Most bytes that decoding takes besides the encoded picture: the decoder's channels beside RGB, or RGB twice while it
    /// is turned.
    pub(crate) fn decoding_bytes(&self) -> u64 {
        match &self.0 {
            Kind::Dicom(frame) => frame.decoding_bytes(),
            Kind::Image { decoder, .. } => {
                let (width, height) = decoder.dimensions();
                let own = u64::from(decoder.color_type().bytes_per_pixel());
                u64::from(width) * u64::from(height) * (own.max(RGB_BYTES) + RGB_BYTES)
            }
        }
    }

    /// Decodes to upright 8-bit RGB.
    pub(crate) fn decode(self) -> Result<Decoded, Unfit> {
        let (mut decoder, mut container) = match self.0 {
            Kind::Dicom(frame) => return frame.decode(),
            Kind::Image { decoder, container } => (decoder, container),
        };
        // Metadata that cannot be read says nothing about how the picture lies.
        let orientation = container
            .orientation
            .or_else(|| decoder.orientation().ok())
            .unwrap_or(Orientation::NoTransforms);
        let decoded = DynamicImage::from_decoder(decoder).map_err(unfit)?;
        let converted = rgb::convert(decoded, container.premultiplied)?;
        if converted.is_transparent {
            container.adjustments.insert(Adjustment::Blended);
        }
        if converted.is_dark {
            container.adjustments.insert(Adjustment::DarkDeepChannels);
        }
        let mut image = DynamicImage::ImageRgb8(converted.rgb);
        image.apply_orientation(orientation);
        let rgb = image.into_rgb8();
        let image = DecodedImage {
            width: rgb.width(),
            height: rgb.height(),
            pixels: rgb.into_raw(),
        };
        Ok((image, container.adjustments))
    }
}

/// The reason behind a decoder's error.
fn unfit(error: ImageError) -> Unfit {
    match &error {
        ImageError::Limits(_) => Unfit::new(SkipReason::TooLarge, error.to_string()),
        ImageError::Unsupported(_) => Unfit::new(
            SkipReason::UnsupportedFormat,
            format!("{error}; convert it to PNG"),
        ),
        _ if ends_early(&error) => Unfit::new(SkipReason::Truncated, error.to_string()),
        _ => Unfit::new(SkipReason::Corrupt, error.to_string()),
    }
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
