//! Delivery in order, whatever the threads, the memory and the sizes.
#![allow(clippy::unwrap_used)]

mod common;

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{dataset_of, encode, picture, write};
use image::ImageFormat;
use promptfed_data::{Dataset, DecodeLimits, DecodeOptions, Fit, decode, decode_map, load};
use tempfile::{TempDir, tempdir};

/// `count` pictures of very different sizes; the first pixel's blue is the index.
fn pictures(count: u8) -> (TempDir, Dataset) {
    let root = tempdir().unwrap();
    let files: Vec<PathBuf> = (0..count)
        .map(|i| root.path().join(format!("{i:03}")))
        .collect();
    for (i, file) in (0..count).zip(&files) {
        let side = 1 + u32::from(i.wrapping_mul(97)) % 150;
        write(file, encode(&picture(side, side, i), ImageFormat::Png));
    }
    let dataset = dataset_of(&files);
    (root, dataset)
}

fn options(threads: usize, max_bytes_in_flight: u64) -> DecodeOptions {
    DecodeOptions {
        limits: DecodeLimits {
            max_bytes_in_flight,
            ..DecodeLimits::default()
        },
        strict: false,
        threads: NonZeroUsize::new(threads),
    }
}

#[test]
fn pictures_come_in_order_under_any_memory_limit() {
    let (_root, dataset) = pictures(120);
    for threads in [1, 3, 8] {
        for memory in [0, 1, 50_000, u64::MAX] {
            let mut seen = Vec::new();
            decode(&dataset, &options(threads, memory), |i, image| {
                seen.push((i, usize::from(image.pixels[2])));
            })
            .unwrap();
            assert_eq!(seen, (0..120).map(|i| (i, i)).collect::<Vec<_>>());
        }
    }
}

#[test]
fn pictures_in_flight_stay_within_the_memory_limit() {
    let (_root, dataset) = pictures(100);
    let most = 150 * 150 * 7;
    let alive = AtomicUsize::new(0);
    let peak = AtomicUsize::new(0);
    decode_map(
        &dataset,
        &options(8, most),
        |_, image| {
            let now = alive.fetch_add(image.pixels.len(), Ordering::SeqCst) + image.pixels.len();
            peak.fetch_max(now, Ordering::SeqCst);
            image.pixels.len()
        },
        |_, bytes| {
            alive.fetch_sub(bytes, Ordering::SeqCst);
        },
    )
    .unwrap();
    // One picture more than the limit may be in flight: the next to be delivered.
    assert!(peak.into_inner() as u64 <= 2 * most);
}

#[test]
fn a_panic_of_the_caller_comes_out() {
    let (_root, dataset) = pictures(60);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        decode(&dataset, &options(4, 0), |i, _| assert!(i < 5, "enough"))
    }));
    assert!(outcome.is_err());
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        decode_map(
            &dataset,
            &options(4, 0),
            |i, _| assert!(i < 5, "enough"),
            |_, ()| {},
        )
    }));
    assert!(outcome.is_err());
}

#[test]
fn loading_gives_the_same_images_with_any_number_of_threads() {
    let (_root, dataset) = pictures(50);
    let (one, _) = load(&dataset, 16, Fit::Crop, &options(1, 1 << 20)).unwrap();
    let (many, _) = load(&dataset, 16, Fit::Crop, &options(7, 1 << 20)).unwrap();
    assert_eq!(one.hash(), many.hash());
    assert_eq!(one.pixels.len(), 50 * 16 * 16 * 3);
    assert!(load(&dataset, 0, Fit::Crop, &options(1, 0)).is_err());
    assert!(load(&dataset, 1 << 20, Fit::Crop, &options(1, 0)).is_err());
}

#[test]
fn an_empty_data_set_loads_as_no_images() {
    let (images, report) = load(&dataset_of(&[]), 8, Fit::Crop, &DecodeOptions::default()).unwrap();
    assert!(images.is_empty() && report.skipped.is_empty());
}
