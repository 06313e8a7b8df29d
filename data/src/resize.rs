//! Square images of one size.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::{DataError, DecodedImage, Result};

/// Cuts out the largest centred square and resizes it to `size` x `size` with a Lanczos filter of 3 lobes that widens
/// when scaling down (antialiased), as Pillow's `LANCZOS`. Returns `size * size * 3` bytes of RGB.
///
/// # Errors
/// When `size` is 0 or above 65535, or `image` has no pixels or too few bytes.
pub fn resize_square(image: &DecodedImage, size: usize) -> Result<Vec<u8>> {
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
    let (left, top, cut) = centred_square(image.width, image.height);
    let lanczos = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
    // Columns before rows, as in Pillow; the intermediate rounding makes the order visible.
    let mut narrowed = Image::new(side, cut, PixelType::U8x3);
    let crop = lanczos.crop(left.into(), top.into(), cut.into(), cut.into());
    Resizer::new()
        .resize(&source, &mut narrowed, &crop)
        .map_err(|e| mismatch(e.to_string()))?;
    let mut target = Image::new(side, side, PixelType::U8x3);
    Resizer::new()
        .resize(&narrowed, &mut target, &lanczos)
        .map_err(|e| mismatch(e.to_string()))?;
    Ok(target.into_vec())
}

/// Left, top and side of the largest centred square; an odd pixel is cut off on the right or at the bottom.
fn centred_square(width: u32, height: u32) -> (u32, u32, u32) {
    let side = width.min(height);
    ((width - side) / 2, (height - side) / 2, side)
}
