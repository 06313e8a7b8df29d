//! Bad pictures are skipped with their reason, or end the run when strict.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::PathBuf;

use common::{dataset_of, encode, golden, picture, png_chunk, write};
use image::{DynamicImage, ImageFormat};
use promptfed_data::{
    Adjustment, DataError, DecodeLimits, DecodeOptions, SkipReason, Skipped, decode,
};
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
    for bytes in [&b"%PDF-1.7"[..], b"x", &[0; 1000]] {
        assert_eq!(reason(bytes), Some(SkipReason::UnsupportedFormat));
    }
}

#[test]
fn depths_without_an_agreed_range_are_told() {
    let float = encode(&DynamicImage::new_rgb32f(4, 4), ImageFormat::Tiff);
    assert_eq!(reason(&float), Some(SkipReason::ChannelDepth));
    let mut twelve_bit = encode(&picture(16, 16, 3), ImageFormat::Jpeg);
    let frame = twelve_bit
        .windows(2)
        .position(|w| w == b"\xff\xc0")
        .unwrap();
    twelve_bit[frame + 4] = 12;
    assert_eq!(reason(&twelve_bit), Some(SkipReason::ChannelDepth));
}

#[test]
fn deep_pictures_decode_in_every_layout() {
    for deep in [
        DynamicImage::new_rgb16(4, 4),
        DynamicImage::new_luma16(4, 4),
        DynamicImage::new_rgba16(4, 4),
    ] {
        for format in [ImageFormat::Png, ImageFormat::Tiff] {
            assert_eq!(reason(&encode(&deep, format)), None);
        }
    }
}

#[test]
fn values_of_twelve_bits_in_sixteen_are_told() {
    let root = tempdir().unwrap();
    let files = [4095u16, 4096].map(|brightest| {
        let deep =
            image::ImageBuffer::from_fn(8, 8, |x, _| image::Luma([brightest * (x as u16 % 2)]));
        let file = root.path().join(format!("{brightest}.png"));
        write(
            &file,
            encode(&DynamicImage::ImageLuma16(deep), ImageFormat::Png),
        );
        file
    });
    let report = decode(&dataset_of(&files), &DecodeOptions::default(), |_, _| {}).unwrap();
    assert_eq!(report.adjusted[&Adjustment::DeepChannels], 2);
    assert_eq!(report.adjusted[&Adjustment::DarkDeepChannels], 1);
}

#[test]
fn print_colours_that_do_not_say_how_inks_are_stored_are_left_out() {
    let mut jpeg = std::fs::read(golden().join("cmyk.jpg")).unwrap();
    assert_eq!(reason(&jpeg), None);
    let adobe = jpeg.windows(5).position(|w| w == b"Adobe").unwrap();
    jpeg[adobe..adobe + 5].copy_from_slice(b"Other");
    let skipped = outcome_within(&jpeg, DecodeLimits::default()).unwrap();
    assert!(skipped.detail.contains("convert it to RGB"), "{skipped}");
}

#[test]
fn other_kinds_are_named_with_the_way_to_convert_them() {
    let ftyp = |brand: &[u8; 4]| {
        let mut bytes = b"\0\0\0\x18ftypmif1\0\0\0\0mif1".to_vec();
        bytes.extend(brand);
        bytes.extend([0; 40]);
        bytes
    };
    let cases: [(Vec<u8>, &str, &str); 12] = [
        (ftyp(b"heic"), "HEIC", "heif-convert"),
        (ftyp(b"avif"), "AVIF", "avifdec"),
        (
            b"\0\0\0\x14ftypqt  \0\0\0\0qt  ".to_vec(),
            "video",
            "ffmpeg",
        ),
        (b"\xff\x0a\x00\x10".to_vec(), "JPEG XL", "djxl"),
        (
            b"\0\0\0\x0cjP  \r\n\x87\n".to_vec(),
            "JPEG 2000",
            "opj_decompress",
        ),
        (
            b"<?xml version='1.0'?>\n<svg width='9'/>".to_vec(),
            "SVG",
            "rsvg-convert",
        ),
        (b"%PDF-1.7".to_vec(), "PDF", "pdftoppm"),
        (b"8BPS\0\x01".to_vec(), "Photoshop", "PNG"),
        (
            b"<!DOCTYPE html><html>404</html>".to_vec(),
            "web page",
            "download",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1".to_vec(),
            "LFS",
            "git lfs pull",
        ),
        (b"PK\x03\x04....".to_vec(), "ZIP", "unpack"),
        (
            b"II*\0\x10\0\0\0CR\x02\0".to_vec(),
            "camera raw",
            "JPEG or PNG",
        ),
    ];
    for (bytes, name, remedy) in cases {
        let skipped = outcome_within(&bytes, DecodeLimits::default()).unwrap();
        assert_eq!(skipped.reason, SkipReason::UnsupportedFormat, "{skipped}");
        assert!(skipped.detail.contains(name), "{skipped}");
        assert!(skipped.detail.contains(remedy), "{skipped}");
    }
}

#[test]
fn animations_that_are_cut_short_are_truncated() {
    let mut gif = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut gif);
    for seed in [1, 2] {
        encoder
            .encode_frame(image::Frame::new(picture(24, 24, seed).into_rgba8()))
            .unwrap();
    }
    drop(encoder);
    assert_eq!(reason(&gif), None);
    let kept = gif.len() - gif.len() / 4;
    assert_eq!(reason(&gif[..kept]), Some(SkipReason::Truncated));
}

#[test]
fn profiles_and_texts_that_inflate_are_left_alone() {
    let png = encode(&picture(24, 18, 1), ImageFormat::Png);
    let after_header = 8 + 25;
    // A decoder that looked would find no compressed stream.
    for kind in [b"iCCP", b"zTXt", b"iTXt"] {
        let chunk = png_chunk(kind, b"name\0\0\0\0\0not compressed at all");
        let with_chunk = [&png[..after_header], &chunk, &png[after_header..]].concat();
        assert_eq!(reason(&with_chunk), None, "{kind:?}");
    }
}

#[cfg(unix)]
#[test]
fn only_regular_files_are_read_and_only_up_to_the_limit() {
    let root = tempdir().unwrap();
    let pipe = root.path().join("pipe.png");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let device = root.path().join("device.png");
    std::os::unix::fs::symlink("/dev/zero", &device).unwrap();
    let dataset = dataset_of(&[pipe, device, root.path().to_owned()]);
    let report = decode(&dataset, &DecodeOptions::default(), |_, _| {}).unwrap();
    for (skipped, what) in report
        .skipped
        .iter()
        .zip(["a named pipe", "a device", "a folder"])
    {
        assert_eq!(skipped.reason, SkipReason::Unreadable, "{skipped}");
        assert!(skipped.detail.contains(what), "{skipped}");
    }
    assert_eq!(report.skipped.len(), 3);
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
