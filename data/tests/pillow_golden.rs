//! Decoding and resizing against Pillow (golden/make.py).
#![allow(clippy::unwrap_used)]

mod common;

use common::{dataset_of, golden};
use promptfed_data::{DecodeOptions, DecodedImage, SkipReason, decode, resize_square};

fn decoded(name: &str) -> DecodedImage {
    let mut image = None;
    let report = decode(
        &dataset_of(&[golden().join(name)]),
        &DecodeOptions::default(),
        |_, decoded| image = Some(decoded),
    )
    .unwrap();
    assert!(report.skipped.is_empty(), "{:?}", report.skipped);
    image.unwrap()
}

fn largest_difference(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| a.abs_diff(*b))
        .max()
        .unwrap_or(0)
}

#[test]
fn pictures_decode_as_in_pillow() {
    // JPEG decoders may differ in the last bits of the inverse transform.
    const JPEG_TOLERANCE: u8 = 4;
    let mut compared = 0;
    for entry in std::fs::read_dir(golden()).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap();
        let Some(name) = file
            .strip_suffix(".rgb")
            .filter(|n| !n.ends_with(char::is_numeric))
        else {
            continue;
        };
        let image = decoded(name);
        assert_eq!((image.width, image.height), (23, 17), "{name}");
        let tolerance = if name.ends_with(".jpg") {
            JPEG_TOLERANCE
        } else {
            0
        };
        let difference = largest_difference(&image.pixels, &std::fs::read(&path).unwrap());
        assert!(difference <= tolerance, "{name} differs by {difference}");
        compared += 1;
    }
    assert_eq!(compared, 17);
}

#[test]
fn squares_resize_as_in_pillow() {
    let image = decoded("rgb.png");
    for size in [8, 40] {
        let expected = std::fs::read(golden().join(format!("rgb.png.{size}.rgb"))).unwrap();
        let difference = largest_difference(&resize_square(&image, size).unwrap(), &expected);
        // The two libraries round filter weights to different precision.
        assert!(difference <= 2, "{size} differs by {difference}");
    }
}

#[test]
fn unfit_pictures_of_pillow_are_told_apart() {
    for (name, reason) in [
        ("unfit_cmyk.jpg", SkipReason::Cmyk),
        ("unfit_cmyk.tiff", SkipReason::Cmyk),
        ("unfit_16bit.png", SkipReason::SixteenBit),
        ("unfit_16bit.tiff", SkipReason::SixteenBit),
        ("unfit_animated.gif", SkipReason::Animated),
        ("unfit_animated.png", SkipReason::Animated),
        ("unfit_animated.webp", SkipReason::Animated),
        ("unfit_animated.tiff", SkipReason::Animated),
    ] {
        let dataset = dataset_of(&[golden().join(name)]);
        let report = decode(&dataset, &DecodeOptions::default(), |_, _| {}).unwrap();
        assert_eq!(report.decoded, 0, "{name}");
        assert_eq!(report.skipped[0].reason, reason, "{name}");
    }
}
