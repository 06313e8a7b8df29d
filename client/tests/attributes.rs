//! The attribute rules, against numbers from the generator's own code (golden/make.py).
#![allow(clippy::unwrap_used)]

mod support;

use promptfed_client::{Attributes, Colour, Tone, mean_luma};
use promptfed_data::{DecodeOptions, OpenOptions, decode, open};
use serde_json::Value;
use support::{plain, synthetic};

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/attributes.json")).unwrap()
}

#[test]
fn every_colour_there_is() {
    let mut counts = [0_u64; Colour::ALL.len()];
    let mut digest = 0xCBF2_9CE4_8422_2325_u64;
    for rgb in 0..1_u32 << 24 {
        let [_, r, g, b] = rgb.to_be_bytes();
        let index = Colour::of([r, g, b]) as usize;
        counts[index] += 1;
        digest = (digest ^ index as u64).wrapping_mul(0x100_0000_01B3);
    }
    let expected = &golden()["colours"];
    for (colour, count) in Colour::ALL.into_iter().zip(counts) {
        assert_eq!(expected["counts"][colour.as_str()], count, "{colour}");
    }
    assert_eq!(expected["fnv1a"], format!("{digest:016x}"));
}

#[test]
fn synthetic_images_of_all_sizes() {
    let golden = golden();
    let expected = golden["synthetic"].as_array().unwrap();
    assert_eq!(expected.len(), 240);
    for (k, expected) in expected.iter().enumerate() {
        let image = synthetic(k as u32);
        assert_eq!(expected["width"], image.width, "image {k}");
        assert_eq!(expected["height"], image.height, "image {k}");
        assert_eq!(
            expected["caption"],
            Attributes::of(&image).to_string(),
            "image {k}"
        );
        // numpy hands pictures of one column to another kernel, which rounds once less.
        let luma = expected["luma"].as_f64().unwrap() as f32;
        let tolerance = if image.width == 1 { 1e-6 } else { 0.0 };
        assert!((mean_luma(&image) - luma).abs() <= tolerance, "image {k}");
    }
}

#[test]
fn drawings() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../assets/emoji/private.parquet"
    );
    let dataset = open(path.as_ref(), &OpenOptions::default()).unwrap();
    let mut expected: std::collections::BTreeMap<usize, String> =
        serde_json::from_value(golden()["emoji"].clone()).unwrap();
    assert_eq!(expected.len(), 180);
    decode(&dataset, &DecodeOptions::default(), |row, image| {
        if let Some(caption) = expected.remove(&row) {
            assert_eq!(Attributes::of(&image).to_string(), caption, "row {row}");
        }
    })
    .unwrap();
    assert!(expected.is_empty());
}

#[test]
fn images_too_small_for_a_border() {
    let red = [255, 0, 0];
    let of = |width, height| Attributes::of(&plain(width, height, red));
    assert_eq!(of(1, 1).to_string(), "red on black background, dark");
    assert_eq!(of(7, 7).border, Colour::Black);
    assert_eq!(of(8, 7).border, Colour::Red);
    assert_eq!(of(7, 8).border, Colour::Red);
    assert_eq!(of(8, 8).border, Colour::Red);
}

#[test]
fn equally_frequent_colours_go_to_the_first() {
    let mut image = plain(2, 1, [255, 0, 0]);
    image.pixels[..3].copy_from_slice(&[0, 0, 255]);
    assert_eq!(Attributes::of(&image).centre, Colour::Red);
}

#[test]
fn tones() {
    let tone = |gray| Attributes::of(&plain(9, 9, [gray; 3])).tone;
    assert_eq!(tone(76), Some(Tone::Dark));
    assert_eq!(tone(77), None);
    assert_eq!(tone(178), None);
    assert_eq!(tone(179), Some(Tone::Bright));
}
