//! EfficientNet-lite0 against PyTorch: `golden/efficientnet_lite0.py` makes the numbers.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use promptfed_vision::{EfficientNet, Pixels};
use safetensors::SafeTensors;

const SIDE: u32 = 224;

fn network() -> EfficientNet {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/efficientnet-lite0");
    EfficientNet::load(&assets).unwrap()
}

fn picture(level: impl Fn(u32, u32, u32) -> u32) -> Vec<u8> {
    let places = (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (y, x)));
    places
        .flat_map(|(y, x)| [0, 1, 2].map(|c| (level(y, x, c) % 256) as u8))
        .collect()
}

fn pixels(values: &[u8]) -> Pixels<'_> {
    Pixels {
        height: SIDE,
        width: SIDE,
        values,
    }
}

#[test]
fn features_agree_with_pytorch() {
    let stripes = picture(|y, x, c| (x * (c + 1) + y * 2 * (3 - c)) / 3);
    let noise = picture(|y, x, c| {
        x.wrapping_mul(73_856_093) ^ y.wrapping_mul(19_349_663) ^ c.wrapping_mul(83_492_791)
    });
    let found = network()
        .features(&[pixels(&stripes), pixels(&noise)])
        .unwrap();
    let golden =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/efficientnet_lite0.safetensors");
    let file = std::fs::read(golden).unwrap();
    let file = SafeTensors::deserialize(&file).unwrap();
    let expected = file.tensor("features").unwrap();
    let expected: Vec<f32> = expected
        .data()
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect();
    assert_eq!(found.len(), expected.len());
    assert_eq!(found.len(), 2 * EfficientNet::FEATURES);
    let apart = found
        .iter()
        .zip(&expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    let largest = expected.iter().fold(0f32, |most, v| most.max(v.abs()));
    assert!(largest > 1.0, "features of {largest} tell nothing");
    assert!(apart < 1e-4 * largest, "{apart} of {largest}");
}

#[test]
fn an_image_s_features_do_not_depend_on_its_neighbours() {
    let pictures: Vec<Vec<u8>> = (1..20)
        .map(|k| picture(|y, x, c| (x * k + y * c) / 5))
        .collect();
    let network = network();
    let all: Vec<_> = pictures.iter().map(|p| pixels(p)).collect();
    let together = network.features(&all).unwrap();
    for (i, image) in all.iter().enumerate().step_by(9) {
        let alone = network.features(&[*image]).unwrap();
        assert_eq!(
            alone,
            together[i * EfficientNet::FEATURES..][..EfficientNet::FEATURES]
        );
    }
}
