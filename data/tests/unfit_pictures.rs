//! Bad pictures are skipped with their reason, or end the run when strict.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::PathBuf;

use common::{dataset_of, encode, golden, picture, write};
use image::{DynamicImage, ImageFormat};
use promptfed_data::{DataError, DecodeLimits, DecodeOptions, SkipReason, Skipped, decode};
use proptest::prelude::*;
use tempfile::tempdir;

/// What becomes of a picture with these bytes: `None` when it decodes.
fn outcome_within(bytes: &[u8], limits: DecodeLimits) -> Option<Skipped> {
    let root = tempdir().unwrap();
    let path = root.path().join("picture.jpg");
    write(&path, bytes);
    let options = DecodeOptions {
        limits,
        ..DecodeOptions::default()
    };
    let mut report = decode(&dataset_of(&[path]), &options, |_, _| {}).unwrap();
    assert_eq!(report.decoded + report.skipped.len(), 1);
    report.skipped.pop()
}

fn reason(bytes: &[u8]) -> Option<SkipReason> {
    outcome_within(bytes, DecodeLimits::default()).map(|s| s.reason)
}

const FORMATS: [ImageFormat; 6] = [
    ImageFormat::Jpeg,
    ImageFormat::Png,
    ImageFormat::Gif,
    ImageFormat::WebP,
    ImageFormat::Bmp,
    ImageFormat::Tiff,
];

fn png_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut crc = !0u32;
    for byte in kind.iter().chain(data) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    let mut chunk = (data.len() as u32).to_be_bytes().to_vec();
    chunk.extend(kind);
    chunk.extend(data);
    chunk.extend((!crc).to_be_bytes());
    chunk
}

#[test]
fn the_content_decides_on_the_format_whatever_the_extension() {
    for format in FORMATS {
        assert_eq!(
            reason(&encode(&picture(9, 7, 3), format)),
            None,
            "{format:?}"
        );
    }
}

#[test]
fn truncated_pictures_of_every_format() {
    for format in FORMATS {
        let bytes = encode(&picture(40, 30, 3), format);
        for kept in [bytes.len() / 3, bytes.len() / 2, bytes.len() * 9 / 10] {
            assert_eq!(
                reason(&bytes[..kept]),
                Some(SkipReason::Truncated),
                "{format:?} {kept}"
            );
        }
    }
}

#[test]
fn a_jpeg_whose_end_was_never_downloaded_is_truncated() {
    let mut bytes = encode(&picture(40, 30, 3), ImageFormat::Jpeg);
    let half = bytes.len() / 2;
    bytes[half..].fill(0);
    assert_eq!(reason(&bytes), Some(SkipReason::Truncated));
}

#[test]
fn corrupt_pictures() {
    let mut png = encode(&picture(40, 30, 3), ImageFormat::Png);
    let middle = png.len() / 2;
    png[middle] ^= 0xff;
    assert_eq!(reason(&png), Some(SkipReason::Corrupt));
    assert_eq!(reason(b"\xff\xd8\xff\xd9"), Some(SkipReason::Corrupt));
    assert_eq!(
        reason(b"GIF89a\x01\x00\x01\x00\x00\x00\x00\x3b"),
        Some(SkipReason::Corrupt)
    );
    assert_eq!(
        reason(b"GIF89a\x01\x00\x01\x00\x00\x00\x00\x77"),
        Some(SkipReason::Corrupt)
    );
}

#[test]
fn empty_and_foreign_files() {
    assert_eq!(reason(b""), Some(SkipReason::Empty));
    for bytes in [
        &b"<!DOCTYPE html><html>404</html>"[..],
        b"%PDF-1.7",
        b"x",
        &[0; 1000],
    ] {
        assert_eq!(reason(bytes), Some(SkipReason::UnsupportedFormat));
    }
}

#[test]
fn print_colours_are_found_in_the_jpeg_frame() {
    let adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x02";
    let frame =
        b"\xff\xc0\x00\x14\x08\x00\x10\x00\x10\x04\x01\x11\x00\x02\x11\x00\x03\x11\x00\x04\x11\x00";
    let bytes = [
        &b"\xff\xd8"[..],
        adobe,
        frame,
        b"\xff\xda\x00\x02\x11\xff\xd9",
    ]
    .concat();
    assert_eq!(reason(&bytes), Some(SkipReason::Cmyk));
}

#[test]
fn deep_channels_of_png_tiff_and_jpeg() {
    for deep in [
        DynamicImage::new_rgb16(4, 4),
        DynamicImage::new_luma16(4, 4),
        DynamicImage::new_rgba16(4, 4),
    ] {
        for format in [ImageFormat::Png, ImageFormat::Tiff] {
            assert_eq!(reason(&encode(&deep, format)), Some(SkipReason::SixteenBit));
        }
    }
    let float = encode(&DynamicImage::new_rgb32f(4, 4), ImageFormat::Tiff);
    assert_eq!(reason(&float), Some(SkipReason::SixteenBit));
    let mut twelve_bit = encode(&picture(16, 16, 3), ImageFormat::Jpeg);
    let frame = twelve_bit
        .windows(2)
        .position(|w| w == b"\xff\xc0")
        .unwrap();
    twelve_bit[frame + 4] = 12;
    assert_eq!(reason(&twelve_bit), Some(SkipReason::SixteenBit));
}

#[test]
fn animations_of_png_gif_and_webp() {
    let png = encode(&picture(4, 4, 1), ImageFormat::Png);
    let after_header = 8 + 25;
    let control = png_chunk(b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]);
    let animated = [&png[..after_header], &control, &png[after_header..]].concat();
    assert_eq!(reason(&animated), Some(SkipReason::Animated));
    let control = png_chunk(b"acTL", &[0, 0, 0, 1, 0, 0, 0, 0]);
    let still = [&png[..after_header], &control, &png[after_header..]].concat();
    assert!(reason(&still) != Some(SkipReason::Animated));

    let mut gif = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut gif);
    for seed in [1, 2] {
        encoder
            .encode_frame(image::Frame::new(picture(4, 4, seed).into_rgba8()))
            .unwrap();
    }
    drop(encoder);
    assert_eq!(reason(&gif), Some(SkipReason::Animated));

    let chunk = b"VP8X\x0a\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x03\x00\x00";
    let webp = [
        &b"RIFF"[..],
        &(4 + chunk.len() as u32).to_le_bytes(),
        b"WEBP",
        chunk,
    ]
    .concat();
    assert_eq!(reason(&webp), Some(SkipReason::Animated));
}

#[test]
fn a_decompression_bomb_is_judged_by_its_header() {
    let mut header = 60_000u32.to_be_bytes().repeat(2);
    header.extend([8, 2, 0, 0, 0]);
    let bomb = [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        png_chunk(b"IHDR", &header),
        png_chunk(b"IDAT", &[0x78, 0x9c, 3, 0, 0, 0, 0, 1]),
        png_chunk(b"IEND", &[]),
    ]
    .concat();
    assert_eq!(reason(&bomb), Some(SkipReason::TooLarge));
    let mut gif = encode(&picture(4, 4, 1), ImageFormat::Gif);
    gif[6..10].fill(0xff);
    assert_eq!(reason(&gif), Some(SkipReason::TooLarge));
}

#[test]
fn limits_are_exact_in_every_format() {
    for format in FORMATS {
        let bytes = encode(&picture(20, 10, 1), format);
        let within = |max_pixels, max_encoded_bytes| {
            let limits = DecodeLimits {
                max_pixels,
                max_encoded_bytes,
                ..DecodeLimits::default()
            };
            outcome_within(&bytes, limits).map(|s| s.reason)
        };
        let size = bytes.len() as u64;
        assert_eq!(within(200, size), None, "{format:?}");
        assert_eq!(within(199, size), Some(SkipReason::TooLarge), "{format:?}");
        assert_eq!(
            within(200, size - 1),
            Some(SkipReason::TooLarge),
            "{format:?}"
        );
    }
}

fn mixed_files(root: &std::path::Path) -> Vec<PathBuf> {
    let good = encode(&picture(8, 8, 1), ImageFormat::Png);
    let contents: [&[u8]; 6] = [&good, b"", &good, b"text", &good[..40], &good];
    let files: Vec<PathBuf> = (0..contents.len())
        .map(|i| root.join(format!("{i}.png")))
        .collect();
    for (file, content) in files.iter().zip(contents) {
        write(file, content);
    }
    files
}

#[test]
fn skipped_pictures_are_counted_and_listed() {
    let root = tempdir().unwrap();
    let dataset = dataset_of(&mixed_files(root.path()));
    let mut delivered = Vec::new();
    let report = decode(&dataset, &DecodeOptions::default(), |i, _| {
        delivered.push(i)
    })
    .unwrap();
    assert_eq!(delivered, [0, 2, 5]);
    assert_eq!(report.decoded, 3);
    let listed: Vec<(usize, SkipReason)> = report
        .skipped
        .iter()
        .map(|s| (s.sample, s.reason))
        .collect();
    assert_eq!(
        listed,
        [
            (1, SkipReason::Empty),
            (3, SkipReason::UnsupportedFormat),
            (4, SkipReason::Truncated)
        ]
    );
    assert_eq!(
        report.to_string(),
        "3 decoded, 3 skipped (truncated 1, unsupported format 1, empty 1)"
    );
    assert!(report.skipped[0].to_string().contains("1.png: empty"));
}

#[test]
fn strict_stops_at_the_first_bad_picture() {
    let root = tempdir().unwrap();
    let dataset = dataset_of(&mixed_files(root.path()));
    let options = DecodeOptions {
        strict: true,
        ..DecodeOptions::default()
    };
    let mut delivered = Vec::new();
    let error = decode(&dataset, &options, |i, _| delivered.push(i)).unwrap_err();
    assert!(matches!(
        error,
        DataError::UnfitImage {
            reason: SkipReason::Empty,
            ..
        }
    ));
    assert!(error.to_string().contains("1.png"), "{error}");
    assert_eq!(delivered, [0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever happens to a picture's bytes, it decodes or is skipped; it never panics or allocates without bound.
    #[test]
    fn damaged_pictures_never_panic(
        format in prop::sample::select(FORMATS.to_vec()),
        cut in 0.0..1.5f64,
        flips in prop::collection::vec((0.0..1.0f64, any::<u8>()), 0..8),
    ) {
        let mut bytes = encode(&picture(24, 18, 5), format);
        for (position, value) in flips {
            let position = (position * bytes.len() as f64) as usize;
            bytes[position] = value;
        }
        let cut = (cut * bytes.len() as f64) as usize;
        bytes.truncate(cut);
        let limits = DecodeLimits { max_pixels: 1 << 20, ..DecodeLimits::default() };
        if let Some(skipped) = outcome_within(&bytes, limits) {
            prop_assert!(!skipped.detail.contains("gave up"), "the decoder panicked");
        }
    }

    #[test]
    fn arbitrary_bytes_behind_a_signature_never_panic(
        signature in prop::sample::select(vec![
            &b"\xff\xd8\xff"[..], b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\x20\0\0\0WEBPVP8X", b"BM", b"II*\0", b"MM\0*",
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let limits = DecodeLimits { max_pixels: 1 << 20, ..DecodeLimits::default() };
        if let Some(skipped) = outcome_within(&[signature, &rest].concat(), limits) {
            prop_assert!(!skipped.detail.contains("gave up"), "the decoder panicked");
        }
    }
}

#[test]
fn golden_files_survive_every_truncation() {
    for entry in std::fs::read_dir(golden()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() || path.extension().is_some_and(|e| e == "rgb") {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for kept in (0..bytes.len()).step_by(37) {
            let name = path.display();
            // A GIF may lack its trailer, a TIFF may end in what no reader needs.
            if let Some(skipped) = outcome_within(&bytes[..kept], DecodeLimits::default()) {
                assert!(!skipped.detail.contains("gave up"), "{name} cut at {kept}");
            } else {
                assert!(kept + 40 > bytes.len(), "{name} cut at {kept} decodes");
            }
        }
    }
}
