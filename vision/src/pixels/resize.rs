//! Resizing as Pillow resizes.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::Pixels;
use crate::{Error, Result};

/// Most pixels of a picture on its way.
const MOST_PIXELS: u64 = 1 << 28;

/// Pixels of the longest side that is computed.
const LONGEST: u32 = 1 << 16;

/// To what a picture is resized.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Size {
    /// Whatever its shape.
    Exact {
        /// In pixels.
        height: u32,
        /// In pixels.
        width: u32,
    },
    /// The shorter side; the shape stays.
    Shortest(u32),
    /// The shorter side, or less where the longer side would get too long; the shape stays.
    Within {
        /// Of the shorter side, in pixels.
        shortest: u32,
        /// Most pixels of the longer side.
        longest: u32,
    },
}

impl Size {
    /// Width and height of a resized picture; `get_size_with_aspect_ratio` and its like in transformers.
    fn of(self, width: u32, height: u32) -> (u32, u32) {
        let (short, long) = (width.min(height), width.max(height));
        match self {
            Self::Exact { height, width } => (width, height),
            Self::Shortest(side) => {
                let scaled = |n: u32| (u64::from(side) * u64::from(n) / u64::from(short)) as u32;
                (scaled(width), scaled(height))
            }
            Self::Within { shortest, longest } => {
                let (small, large) = (f64::from(short), f64::from(long));
                let most = f64::from(longest);
                let wanted = f64::from(shortest);
                let fits = large / small * wanted <= most;
                let exact = if fits { wanted } else { most * small / large };
                let side = exact.round_ties_even() as u32;
                if short == side {
                    return (width, height);
                }
                let other = (exact * large / small) as u32;
                if width < height {
                    (side, other)
                } else {
                    (other, side)
                }
            }
        }
    }
}

/// The filter of Pillow's number.
pub(super) fn filter(number: usize) -> Option<ResizeAlg> {
    Some(match number {
        0 => ResizeAlg::Nearest,
        1 => ResizeAlg::Convolution(FilterType::Lanczos3),
        2 => ResizeAlg::Convolution(FilterType::Bilinear),
        3 => BICUBIC,
        4 => ResizeAlg::Convolution(FilterType::Box),
        5 => ResizeAlg::Convolution(FilterType::Hamming),
        _ => return None,
    })
}

/// Pillow's bicubic filter (a = -1/2).
pub(super) const BICUBIC: ResizeAlg = ResizeAlg::Convolution(FilterType::CatmullRom);

/// Which side is resized first: values are rounded and cut to 8 bits between the two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Order {
    /// The width, as in Pillow up to 12.
    WidthFirst,
    /// As in Pillow 13, see [`is_height_first`].
    AsPillow13,
}

/// Pillow 13 resizes the height first where it loses more than twice the pixels that the width loses. Found by comparing its results
/// with both orders on 500 pairs of sizes and filters, of which none differs.
fn is_height_first((width, height): (u32, u32), (new_width, new_height): (u32, u32)) -> bool {
    let lost = |old: u32, new: u32| i64::from(old) - i64::from(new);
    let lost_height = lost(height, new_height);
    lost_height > 0 && lost_height > 2 * lost(width, new_width)
}

/// A resized picture: width, height, and [height, width, 3].
pub(super) fn resized(
    image: Pixels<'_>,
    size: Size,
    filter: ResizeAlg,
    order: Order,
) -> Result<(u32, u32, Vec<u8>)> {
    let misfit = |e: String| Error::Input(format!("an image cannot be resized ({e})"));
    let source = ImageRef::new(image.width, image.height, image.values, PixelType::U8x3)
        .map_err(|e| misfit(e.to_string()))?;
    let (width, height) = size.of(image.width, image.height);
    if !(1..=LONGEST).contains(&width) || !(1..=LONGEST).contains(&height) {
        return Err(misfit(format!(
            "it has {} x {} pixels and would get {width} x {height}; cut it to a less extreme shape",
            image.width, image.height
        )));
    }
    let options = ResizeOptions::new().resize_alg(filter);
    let old = (image.width, image.height);
    let between = match order {
        Order::AsPillow13 if is_height_first(old, (width, height)) => (image.width, height),
        Order::AsPillow13 | Order::WidthFirst => (width, image.height),
    };
    if u64::from(between.0) * u64::from(between.1) > MOST_PIXELS {
        return Err(misfit(format!(
            "it has {} x {} pixels; cut it to a less extreme shape",
            image.width, image.height
        )));
    }
    let mut half = Image::new(between.0, between.1, PixelType::U8x3);
    Resizer::new()
        .resize(&source, &mut half, &options)
        .map_err(|e| misfit(e.to_string()))?;
    let mut resized = Image::new(width, height, PixelType::U8x3);
    Resizer::new()
        .resize(&half, &mut resized, &options)
        .map_err(|e| misfit(e.to_string()))?;
    Ok((width, height, resized.into_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pillow 13.0.0's order for these sizes.
    #[test]
    fn the_order_is_pillow_13_s() {
        for (old, new, height_first) in [
            ((13, 53), (16, 16), true),
            ((13, 53), (16, 65), false),
            ((90, 90), (60, 29), true),
            ((90, 90), (60, 30), false),
            ((20, 20), (60, 19), true),
            ((20, 20), (40, 60), false),
            ((100, 200), (75, 149), true),
            ((200, 100), (150, 4), false),
        ] {
            assert_eq!(is_height_first(old, new), height_first, "{old:?} {new:?}");
        }
    }

    /// Python's results of `get_resize_output_image_size` and `get_size_with_aspect_ratio`.
    #[test]
    fn sizes_are_those_of_transformers() {
        let within = |shortest, longest| Size::Within { shortest, longest };
        for (size, (width, height), want) in [
            (Size::Shortest(28), (53, 37), (40, 28)),
            (Size::Shortest(28), (37, 53), (28, 40)),
            (Size::Shortest(224), (3, 3), (224, 224)),
            (within(15, 18), (53, 37), (18, 13)),
            (within(15, 18), (37, 53), (13, 18)),
            (within(11, 40), (53, 37), (15, 11)),
            (within(37, 53), (53, 37), (53, 37)),
            (within(20, 30), (40, 40), (20, 20)),
        ] {
            assert_eq!(
                size.of(width, height),
                want,
                "{size:?} of {width} x {height}"
            );
        }
    }
}
