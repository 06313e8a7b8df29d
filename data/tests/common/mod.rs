//! Small pictures and folders for tests.
#![allow(dead_code, clippy::unwrap_used)]

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use promptfed_data::{Dataset, ImageSource, Layout, OpenOptions, Result, Sample, open};
use tempfile::TempDir;

/// A `width` x `height` picture whose pixels depend on `seed`.
pub(crate) fn picture(width: u32, height: u32, seed: u8) -> DynamicImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([x as u8 ^ seed, (y as u8).wrapping_mul(3), seed])
    })
    .into()
}

pub(crate) fn encode(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

pub(crate) fn png(seed: u8) -> Vec<u8> {
    encode(&picture(6, 5, seed), ImageFormat::Png)
}

/// A PNG chunk with its checksum.
pub(crate) fn png_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
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

pub(crate) fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
    let path = path.as_ref();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// A folder with a small picture in each of these places.
pub(crate) fn tree(files: &[&str]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for file in files {
        write(root.path().join(file), png(1));
    }
    root
}

/// Opens what lies at a path as it is found.
pub(crate) fn auto(path: &Path) -> Result<Dataset> {
    open(path, &OpenOptions::default())
}

/// Opens one split of what lies at a path.
pub(crate) fn with_split(path: &Path, split: &str) -> Result<Dataset> {
    let options = OpenOptions {
        split: Some(split.to_owned()),
        ..OpenOptions::default()
    };
    open(path, &options)
}

/// Opens what lies at a path in this layout.
pub(crate) fn with_layout(path: &Path, layout: Layout) -> Result<Dataset> {
    let options = OpenOptions {
        layout,
        ..OpenOptions::default()
    };
    open(path, &options)
}

/// A data set of one class over files.
pub(crate) fn dataset_of(files: &[PathBuf]) -> Dataset {
    Dataset {
        class_names: vec!["thing".to_owned()],
        samples: files
            .iter()
            .map(|file| Sample {
                label: 0,
                domain: None,
                caption: None,
                source: ImageSource::File(file.clone()),
            })
            .collect(),
        ..Dataset::default()
    }
}

pub(crate) fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The folder of the real data sets, where there is one.
pub(crate) fn shared_data() -> Option<PathBuf> {
    let shared = std::env::var_os("PROMPTFED_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let data = shared.join("data");
    if !data.is_dir() {
        println!("skipped: {} is absent", data.display());
        return None;
    }
    Some(data)
}

/// Class names and file names of the samples.
pub(crate) fn summary(dataset: &Dataset) -> Vec<(String, Option<String>, String)> {
    dataset
        .samples
        .iter()
        .map(|s| {
            let ImageSource::File(path) = &s.source else {
                panic!("not a file")
            };
            (
                dataset.class_names[s.label as usize].clone(),
                s.domain.map(|d| dataset.domain_names[d as usize].clone()),
                path.file_name().unwrap().to_string_lossy().into_owned(),
            )
        })
        .collect()
}
