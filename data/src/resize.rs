//! Square images of one size.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::{DataError, DecodedImage, Fit, Result};

/// Makes a picture `size` x `size` as `fit` says, with a Lanczos filter of 3 lobes that widens when scaling down
/// (antialiased), as Pillow's `LANCZOS`. Returns `size * size * 3` bytes of RGB.
///
/// # Errors
/// When `size` is 0 or above 65535, or `image` has no pixels or too few bytes.
pub fn resize_square(image: &DecodedImage, size: usize, fit: Fit) -> Result<Vec<u8>> {
    let side = u32::try_from(size)
        .ok()
        .filter(|side| (1..=65535).contains(side))
        .ok_or_else(|| DataError::Mismatch(format!("{size} pixels is no side length")))?;
    let mismatch = |e: String| {
        DataError::Mismatch(format!(
            "{} bytes are no {}x{} RGB picture ({e})",
            image.pixels.len(),
            image.width,
            image.height
        ))
    };
    if image.width == 0 || image.height == 0 {
        return Err(mismatch("no pixels".to_owned()));
    }
    let source = ImageRef::new(image.width, image.height, &image.pixels, PixelType::U8x3)
        .map_err(|e| mismatch(e.to_string()))?;
    let whole = Cut {
        left: 0,
        top: 0,
        width: image.width,
        height: image.height,
    };
    let resized = match fit {
        Fit::Crop => resize(&source, centred_square(whole), side, side),
        Fit::Squash => resize(&source, whole, side, side),
        Fit::Pad => {
            let (width, height) = contained(image.width, image.height, side);
            resize(&source, whole, width, height)
                .map(|inner| padded(&inner, width as usize, height as usize, size))
        }
    };
    resized.map_err(mismatch)
}

/// A part of a picture, in pixels.
#[derive(Clone, Copy)]
struct Cut {
    left: u32,
    top: u32,
    width: u32,
    height: u32,
}

/// Columns before rows, as in Pillow; the intermediate rounding makes the order visible.
fn resize(source: &ImageRef<'_>, cut: Cut, width: u32, height: u32) -> Result<Vec<u8>, String> {
    let lanczos = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
    let mut narrowed = Image::new(width, cut.height, PixelType::U8x3);
    let crop = lanczos.crop(
        cut.left.into(),
        cut.top.into(),
        cut.width.into(),
        cut.height.into(),
    );
    Resizer::new()
        .resize(source, &mut narrowed, &crop)
        .map_err(|e| e.to_string())?;
    let mut target = Image::new(width, height, PixelType::U8x3);
    Resizer::new()
        .resize(&narrowed, &mut target, &lanczos)
        .map_err(|e| e.to_string())?;
    Ok(target.into_vec())
}

/// The largest centred square; an odd pixel is cut off on the right or at the bottom.
fn centred_square(whole: Cut) -> Cut {
    let side = whole.width.min(whole.height);
    Cut {
        left: (whole.width - side) / 2,
        top: (whole.height - side) / 2,
        width: side,
        height: side,
    }
}

/// Width and height of the largest picture of this shape in a square; rounded, and at least one pixel each.
fn contained(width: u32, height: u32, side: u32) -> (u32, u32) {
    let long = width.max(height);
    let scaled = |length: u32| {
        let exact = f64::from(length) * f64::from(side) / f64::from(long);
        (exact.round() as u32).max(1)
    };
    (scaled(width), scaled(height))
}

/// RGB bytes of a `width` x `height` picture in the middle of a square; an odd pixel of the bars lies on the right or at the
/// bottom.
fn padded(inner: &[u8], width: usize, height: usize, side: usize) -> Vec<u8> {
    let mut square = Fit::PADDING.repeat(side * side);
    let (left, top) = ((side - width) / 2, (side - height) / 2);
    for (row, values) in inner.chunks_exact(width * 3).take(height).enumerate() {
        let start = ((top + row) * side + left) * 3;
        square[start..start + width * 3].copy_from_slice(values);
    }
    square
}
