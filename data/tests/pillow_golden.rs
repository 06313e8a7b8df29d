//! Decoding and resizing against Pillow (golden/make.py).
#![allow(clippy::unwrap_used)]

mod common;

use common::{dataset_of, golden};
use promptfed_data::{
    Adjustment, DecodeOptions, DecodedImage, Fit, SkipReason, decode, load, resize_square,
};

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
fn pictures_decode_to_what_pillow_shows() {
    // JPEG decoders may differ in the last bits of the inverse transform.
    const JPEG_TOLERANCE: u8 = 4;
    // Blending is rounded once here and twice in Pillow; so is scaling from 16 bits.
    const BLENDED_TOLERANCE: u8 = 1;
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
        let size = if name.starts_with("turned") {
            (17, 23)
        } else {
            (23, 17)
        };
        assert_eq!((image.width, image.height), size, "{name}");
        let tolerance = if name.ends_with(".jpg") {
            JPEG_TOLERANCE
        } else {
            BLENDED_TOLERANCE
        };
        let difference = largest_difference(&image.pixels, &std::fs::read(&path).unwrap());
        assert!(difference <= tolerance, "{name} differs by {difference}");
        compared += 1;
    }
    assert_eq!(compared, 40);
}

#[test]
fn squares_resize_as_in_pillow() {
    let image = decoded("rgb.png");
    for fit in Fit::ALL {
        for size in [8, 40] {
            let expected = golden().join(format!("rgb.png.{fit}.{size}.rgb"));
            let square = resize_square(&image, size, fit).unwrap();
            let difference = largest_difference(&square, &std::fs::read(expected).unwrap());
            // The two libraries round filter weights to different precision.
            assert!(difference <= 2, "{fit} {size} differs by {difference}");
        }
    }
}

#[test]
fn extreme_shapes_fit_in_every_way() {
    for (width, height) in [(1, 900), (900, 1), (1, 1)] {
        let image = DecodedImage {
            width,
            height,
            pixels: vec![200; (width * height * 3) as usize],
        };
        for fit in Fit::ALL {
            let square = resize_square(&image, 9, fit).unwrap();
            assert_eq!(square.len(), 9 * 9 * 3, "{fit}");
            let is_whole = square.iter().all(|v| *v == 200);
            assert_eq!(is_whole, fit != Fit::Pad || width == height, "{fit}");
        }
    }
}

#[test]
fn pictures_that_lose_their_ends_are_counted() {
    let root = tempfile::tempdir().unwrap();
    let files: Vec<_> = [(120, 32), (32, 120), (48, 32), (50, 30), (51, 30), (9, 9)]
        .into_iter()
        .enumerate()
        .map(|(i, (width, height))| {
            let file = root.path().join(format!("{i}.png"));
            let bytes = common::encode(&common::picture(width, height, 3), image::ImageFormat::Png);
            common::write(&file, bytes);
            file
        })
        .collect();
    for fit in Fit::ALL {
        let (_, report) = load(&dataset_of(&files), 8, fit, &DecodeOptions::default()).unwrap();
        let expected = (fit == Fit::Crop).then_some(3);
        assert_eq!(
            report.adjusted.get(&Adjustment::EndsCut).copied(),
            expected,
            "{fit}"
        );
        if fit == Fit::Crop {
            let notes: Vec<String> = report.notes().collect();
            assert!(notes[0].contains("3 of 6"), "{notes:?}");
            assert!(notes[0].contains("--fit pad"), "{notes:?}");
        }
    }
}

#[test]
fn what_conversion_changes_is_counted() {
    use Adjustment::{Blended, DeepChannels, FirstFrame, PrintColours};
    let cases: [(&str, &[Adjustment]); 16] = [
        ("rgb.png", &[]),
        ("palette.gif", &[]),
        ("turned.jpg", &[]),
        ("rgba.png", &[Blended]),
        ("grey_alpha.png", &[Blended]),
        ("palette_transparent.png", &[Blended]),
        ("palette_transparent.gif", &[Blended]),
        ("rgba.webp", &[Blended]),
        ("animated.gif", &[FirstFrame]),
        ("animated.webp", &[FirstFrame]),
        ("animated.png", &[FirstFrame]),
        ("cmyk.jpg", &[PrintColours]),
        ("ycck.jpg", &[PrintColours]),
        ("cmyk.tiff", &[PrintColours]),
        ("deep.png", &[DeepChannels]),
        ("deep_rgba.png", &[Blended, DeepChannels]),
    ];
    for (name, expected) in cases {
        let dataset = dataset_of(&[golden().join(name)]);
        let report = decode(&dataset, &DecodeOptions::default(), |_, _| {}).unwrap();
        let expected = expected.iter().map(|adjustment| (*adjustment, 1)).collect();
        assert_eq!(report.adjusted, expected, "{name}");
        assert_eq!(report.notes().count(), report.adjusted.len(), "{name}");
    }
}

#[test]
fn unfit_pictures_of_pillow_are_told_apart_with_a_remedy() {
    for (name, reason, remedy) in [
        ("unfit_float.tiff", SkipReason::ChannelDepth, "8-bit PNG"),
        ("unfit_pages.tiff", SkipReason::ManyPages, "save the page"),
    ] {
        let dataset = dataset_of(&[golden().join(name)]);
        let report = decode(&dataset, &DecodeOptions::default(), |_, _| {}).unwrap();
        assert_eq!(report.decoded, 0, "{name}");
        assert_eq!(report.skipped[0].reason, reason, "{name}");
        let detail = &report.skipped[0].detail;
        assert!(detail.contains(remedy), "{name}: {detail}");
    }
}
