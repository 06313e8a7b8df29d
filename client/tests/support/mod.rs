//! Images for the tests: made by a formula, or found beside the repository.
#![allow(dead_code)] // each test file uses its part

use std::path::PathBuf;

use promptfed_data::DecodedImage;

fn mix(v: u32) -> u32 {
    let v = (v ^ (v >> 16)).wrapping_mul(0x7FEB_352D);
    let v = (v ^ (v >> 15)).wrapping_mul(0x846C_A68B);
    v ^ (v >> 16)
}

/// Image number `k`, equal to `synthetic(k)` of golden/make.py.
pub(crate) fn synthetic(k: u32) -> DecodedImage {
    let (w, h) = (1 + mix(3 * k) % 97, 1 + mix(3 * k + 1) % 97);
    let pixel = |x: u32, y: u32, c: u32| {
        let place = (y * w + x) * 3 + c;
        let noise = mix(k.wrapping_mul(2_654_435_761).wrapping_add(place)) & 255;
        let base = mix(8 * k + c) & 255;
        match k % 5 {
            0 => noise,
            1 => (base * 7 + noise) / 8,
            2 if y < h / 8 || y >= h - h / 8 || x < w / 8 || x >= w - w / 8 => mix(8 * k + 7) & 255,
            2 => (base * 15 + noise) / 16,
            3 => (base + x * (c + 1) + y * (3 - c)) & 255,
            _ => (if k % 2 == 1 { 76 } else { 178 }) + (x + y) % 2,
        }
    };
    let mut pixels = Vec::new();
    for y in 0..h {
        for x in 0..w {
            pixels.extend((0..3).map(|c| pixel(x, y, c) as u8));
        }
    }
    DecodedImage {
        width: w,
        height: h,
        pixels,
    }
}

/// One colour all over.
pub(crate) fn plain(width: u32, height: u32, rgb: [u8; 3]) -> DecodedImage {
    DecodedImage {
        width,
        height,
        pixels: rgb.repeat((width * height) as usize),
    }
}

/// A folder of data sets that not everybody has; says so where it is absent.
pub(crate) fn shared(below: &str) -> Option<PathBuf> {
    let root = std::env::var_os("PROMPTFED_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let path = root.join(below);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}
