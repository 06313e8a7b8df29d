//! Decoded channels to what a person would see, as 8-bit RGB.

use image::{DynamicImage, RgbImage};

use super::Unfit;
use crate::SkipReason;

/// Grey value behind transparent pixels: white, as on a page.
const BACKGROUND: u8 = 255;

/// Values of 16 bits below this come out almost black: they are probably 12-bit ones that were never scaled up.
const DARK_BELOW: u16 = 1 << 12;

/// A picture and what its conversion came upon.
pub(super) struct Converted {
    pub(super) rgb: RgbImage,
    pub(super) is_transparent: bool,
    pub(super) is_dark: bool,
}

/// Repeats grey, scales 16-bit channels to 8 bits (65535 becomes 255, rounded) and blends transparency on
/// [`BACKGROUND`].
pub(super) fn convert(image: DynamicImage, premultiplied: bool) -> Result<Converted, Unfit> {
    let (width, height) = (image.width(), image.height());
    let mut converter = Converter {
        premultiplied,
        is_transparent: false,
        brightest: None,
    };
    let pixels = match image {
        DynamicImage::ImageLuma8(grey) => grey.iter().flat_map(|&v| [v; 3]).collect(),
        DynamicImage::ImageRgb8(rgb) => rgb.into_raw(),
        DynamicImage::ImageLumaA8(grey) => {
            let pixels = grey.as_raw().as_chunks::<2>().0.iter();
            pixels
                .flat_map(|&[v, a]| [converter.blend(v, a); 3])
                .collect()
        }
        DynamicImage::ImageRgba8(rgba) => {
            let pixels = rgba.as_raw().as_chunks::<4>().0.iter();
            pixels
                .flat_map(|&[r, g, b, a]| [r, g, b].map(|v| converter.blend(v, a)))
                .collect()
        }
        DynamicImage::ImageLuma16(grey) => {
            grey.iter().flat_map(|&v| [converter.scale(v); 3]).collect()
        }
        DynamicImage::ImageRgb16(rgb) => rgb.iter().map(|&v| converter.scale(v)).collect(),
        DynamicImage::ImageLumaA16(grey) => {
            let pixels = grey.as_raw().as_chunks::<2>().0.iter();
            pixels
                .flat_map(|&[v, a]| [converter.scale_and_blend(v, a); 3])
                .collect()
        }
        DynamicImage::ImageRgba16(rgba) => {
            let pixels = rgba.as_raw().as_chunks::<4>().0.iter();
            pixels
                .flat_map(|&[r, g, b, a]| [r, g, b].map(|v| converter.scale_and_blend(v, a)))
                .collect()
        }
        _ => return Err(floating_point()),
    };
    let rgb = RgbImage::from_raw(width, height, pixels)
        .ok_or_else(|| Unfit::new(SkipReason::Corrupt, "pixels are missing"))?;
    Ok(Converted {
        rgb,
        is_transparent: converter.is_transparent,
        is_dark: converter.brightest.is_some_and(|v| v < DARK_BELOW),
    })
}

/// Why floating-point pictures are left out.
pub(super) fn floating_point() -> Unfit {
    Unfit::new(
        SkipReason::ChannelDepth,
        "floating-point values do not say which is black and which is white; scale them to 0-255 and save an 8-bit PNG",
    )
}

struct Converter {
    premultiplied: bool,
    is_transparent: bool,
    brightest: Option<u16>,
}

impl Converter {
    fn blend(&mut self, value: u8, alpha: u8) -> u8 {
        self.is_transparent |= alpha < u8::MAX;
        over(
            value.into(),
            alpha.into(),
            u8::MAX.into(),
            self.premultiplied,
        ) as u8
    }

    fn scale(&mut self, value: u16) -> u8 {
        self.brightest = self.brightest.max(Some(value));
        to_8_bits(value.into())
    }

    fn scale_and_blend(&mut self, value: u16, alpha: u16) -> u8 {
        self.is_transparent |= alpha < u16::MAX;
        self.brightest = self.brightest.max(Some(value));
        to_8_bits(over(
            value.into(),
            alpha.into(),
            u16::MAX.into(),
            self.premultiplied,
        ))
    }
}

fn to_8_bits(value: u64) -> u8 {
    ((value * 255 + 32767) / 65535) as u8
}

/// `value` with `alpha` of `most` over the background, rounded.
fn over(value: u64, alpha: u64, most: u64, premultiplied: bool) -> u64 {
    let background = most * u64::from(BACKGROUND) / 255;
    let own = if premultiplied {
        value * most
    } else {
        value * alpha
    };
    ((own + background * (most - alpha) + most / 2) / most).min(most)
}
