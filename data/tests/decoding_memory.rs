//! Small hostile pictures take little memory. Each is decoded by a child process whose peak is measured.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use common::{dataset_of, encode, picture, png_chunk, write};
use image::ImageFormat;
use promptfed_data::{DecodeOptions, decode};

const FILE: &str = "PROMPTFED_TEST_PICTURE";

/// Bytes that the profiles claim or inflate to: far above the bound.
const INFLATED: u64 = 700 << 20;

/// Most kibibytes that decoding one of the pictures may take, the program and its threads included.
const BOUND: u64 = 64 << 10;

#[test]
#[ignore = "runs as a child process of the tests below"]
fn child() {
    let Some(file) = std::env::var_os(FILE) else {
        return;
    };
    let dataset = dataset_of(&[file.into()]);
    let report = decode(&dataset, &DecodeOptions::default(), |_, _| {}).unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM"));
    println!("decoded {} {}", report.decoded, peak.unwrap());
}

/// Peak memory in KiB, and whether the picture decoded.
fn peak(file: &Path) -> (u64, bool) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(FILE, file)
        .output()
        .unwrap();
    let told = String::from_utf8(child.stdout).unwrap();
    let peak = told.split("VmHWM:").nth(1).unwrap();
    let kib = peak.split_whitespace().next().unwrap().parse().unwrap();
    (kib, told.contains("decoded 1"))
}

fn zeros_deflated() -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut left = INFLATED;
    let mut zeros = std::io::repeat(0);
    let mut buffer = vec![0; 1 << 20];
    while left > 0 {
        zeros.read_exact(&mut buffer).unwrap();
        encoder.write_all(&buffer).unwrap();
        left -= buffer.len() as u64;
    }
    encoder.finish().unwrap()
}

#[test]
fn profiles_and_texts_of_a_png_are_not_inflated() {
    let root = tempfile::tempdir().unwrap();
    let png = encode(&picture(24, 18, 1), ImageFormat::Png);
    let zeros = zeros_deflated();
    assert!((zeros.len() as u64) < INFLATED / 100);
    for (kind, head) in [
        (b"iCCP", &b"name\0\0"[..]),
        (b"zTXt", b"Raw profile type icc\0\0"),
        (b"iTXt", b"XML:com.adobe.xmp\0\x01\0\0\0"),
    ] {
        let chunk = png_chunk(kind, &[head, &zeros].concat());
        let file = root.path().join("hostile.png");
        write(&file, [&png[..33], &chunk, &png[33..]].concat());
        let (kib, decoded) = peak(&file);
        assert!(decoded, "{kind:?}");
        assert!(kib < BOUND, "{kind:?} took {} MiB", kib >> 10);
    }
}

#[test]
fn counts_that_a_tiff_claims_take_no_memory() {
    let root = tempfile::tempdir().unwrap();
    let mut tiff = encode(&picture(24, 18, 1), ImageFormat::Tiff);
    // Another directory with an ICC profile (tag 34675) of 700 MiB in front of the first one's fields.
    let at = u32::from_le_bytes(tiff[4..8].try_into().unwrap()) as usize;
    let fields = usize::from(u16::from_le_bytes(tiff[at..at + 2].try_into().unwrap()));
    let copied = tiff[at + 2..at + 2 + fields * 12].to_vec();
    let directory = tiff.len() as u32;
    tiff.extend((fields as u16 + 1).to_le_bytes());
    tiff.extend(copied);
    tiff.extend(34675u16.to_le_bytes());
    tiff.extend(7u16.to_le_bytes());
    tiff.extend((INFLATED as u32).to_le_bytes());
    tiff.extend(8u32.to_le_bytes());
    tiff.extend(0u32.to_le_bytes());
    tiff[4..8].copy_from_slice(&directory.to_le_bytes());
    let file = root.path().join("hostile.tiff");
    write(&file, tiff);
    let (kib, _) = peak(&file);
    assert!(kib < BOUND, "it took {} MiB", kib >> 10);
}

#[test]
fn profiles_of_a_jpeg_take_no_more_than_the_file() {
    let root = tempfile::tempdir().unwrap();
    let jpeg = encode(&picture(24, 18, 1), ImageFormat::Jpeg);
    let mut segments = Vec::new();
    for part in 1..=24u8 {
        segments.extend(b"\xff\xe2\xff\xffICC_PROFILE\0");
        segments.extend([part, 24]);
        segments.extend(vec![0; 0xffff - 2 - 14]);
    }
    assert!(segments.len() > 1_500_000);
    let file = root.path().join("profile.jpg");
    write(&file, [&jpeg[..2], &segments, &jpeg[2..]].concat());
    let (kib, decoded) = peak(&file);
    assert!(decoded);
    assert!(kib < BOUND, "it took {} MiB", kib >> 10);
}
