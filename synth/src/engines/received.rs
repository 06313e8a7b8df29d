//! Pictures that a service sends.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use promptfed_data::{DecodeLimits, DecodedImage, Fit, decode_bytes, resize_square};

use crate::Image;

/// How pictures of another size become the size that is kept, as it is recorded.
pub(super) const RESIZING: &str = "middle square, Lanczos of 3 lobes";

/// Greatest height and width of a picture of a service.
pub(super) const MAX_SIDE: u32 = 4096;

/// Most pixels of such a picture.
const MAX_PIXELS: u64 = MAX_SIDE as u64 * MAX_SIDE as u64;

/// The bytes of base64 text, with or without the head of a data URL.
pub(super) fn from_base64(text: &str) -> Result<Vec<u8>, String> {
    let text = match text.split_once("base64,") {
        Some((head, text)) if head.starts_with("data:") => text,
        _ => text,
    };
    let text = text.trim().trim_end_matches('=');
    STANDARD_NO_PAD
        .decode(text)
        .or_else(|_| STANDARD.decode(text))
        .map_err(|e| format!("its picture is not base64 ({e})"))
}

/// Decodes a picture and makes it `size` x `size`.
pub(super) fn picture(bytes: &[u8], size: u32) -> Result<Image, String> {
    let limits = DecodeLimits {
        max_pixels: MAX_PIXELS,
        ..DecodeLimits::default()
    };
    let picture = decode_bytes(bytes, "its picture", &limits).map_err(|error| error.to_string())?;
    let pixels = if (picture.width, picture.height) == (size, size) {
        picture.pixels
    } else {
        resized(&picture, size)?
    };
    let values = pixels.into_iter().map(|v| f32::from(v) / 127.5 - 1.0);
    Image::new(size, values.collect())
        .ok_or_else(|| "its picture does not have the pixels it should".to_owned())
}

fn resized(picture: &DecodedImage, size: u32) -> Result<Vec<u8>, String> {
    resize_square(picture, size as usize, Fit::Crop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_survive_and_other_sizes_are_cut_and_resized() {
        let values = (0..8 * 8 * 3).map(|i| i as f32 / 96.0 - 1.0).collect();
        let image = Image::new(8, values).unwrap();
        let png = image.to_png().unwrap();
        let text = STANDARD.encode(&png);
        for text in [text.clone(), format!("data:image/png;base64,{text}")] {
            assert_eq!(from_base64(&text).unwrap(), png);
        }
        let back = picture(&png, 8).unwrap();
        assert_eq!(back.to_rgb8(), image.to_rgb8());
        assert_eq!(picture(&png, 4).unwrap().height(), 4);
        let wide = Image::rectangle(4, 12, vec![0.5; 144])
            .unwrap()
            .to_png()
            .unwrap();
        assert_eq!(picture(&wide, 4).unwrap().to_rgb8(), [191; 48]);
    }

    #[test]
    fn what_is_no_picture_is_told() {
        assert!(from_base64("<html>").unwrap_err().contains("base64"));
        assert!(picture(b"<html>", 8).is_err());
        let png = Image::new(8, vec![0.0; 192]).unwrap().to_png().unwrap();
        assert!(picture(&png[..png.len() - 20], 8).is_err());
    }
}
