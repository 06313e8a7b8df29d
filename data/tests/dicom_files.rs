//! DICOM files against pydicom (golden/dicom.py), and what of their headers never gets out.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::PathBuf;

use common::{dataset_of, golden, write};
use promptfed_data::{DecodeOptions, DecodedImage, SkipReason, Skipped, decode, open};
use proptest::prelude::*;

fn folder() -> PathBuf {
    golden().join("dicom")
}

fn outcome(file: PathBuf) -> Result<DecodedImage, Skipped> {
    let mut image = None;
    let dataset = dataset_of(&[file]);
    let report = decode(&dataset, &DecodeOptions::default(), |_, decoded| {
        image = Some(decoded);
    });
    image.ok_or_else(|| report.unwrap().skipped.remove(0))
}

fn of_bytes(bytes: &[u8]) -> Result<DecodedImage, Skipped> {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("a.dcm");
    write(&file, bytes);
    outcome(file)
}

#[test]
fn frames_are_shown_as_by_pydicom() {
    let mut compared = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let Some(name) = path.to_str().unwrap().strip_suffix(".rgb") else {
            continue;
        };
        let image = outcome(name.into()).unwrap();
        assert_eq!((image.width, image.height), (23, 17), "{name}");
        let expected = std::fs::read(&path).unwrap();
        assert_eq!(image.pixels.len(), expected.len());
        let differences = image.pixels.iter().zip(&expected);
        let largest = differences.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        let tolerance = if name.contains("jpeg") { 4 } else { 1 };
        assert!(largest <= tolerance, "{name} differs by {largest}");
        compared += 1;
    }
    assert_eq!(compared, 15);
}

#[test]
fn what_is_not_read_is_told_with_the_remedy() {
    for (name, reason, remedy) in [
        ("unfit_frames", SkipReason::ManyPages, "save the frame"),
        (
            "unfit_jpeg2000",
            SkipReason::UnsupportedFormat,
            "gdcmconv --raw",
        ),
        (
            "unfit_palette",
            SkipReason::UnsupportedFormat,
            "export it as RGB",
        ),
        (
            "unfit_report",
            SkipReason::UnsupportedFormat,
            "leave it out",
        ),
    ] {
        let skipped = outcome(folder().join(format!("{name}.dcm"))).unwrap_err();
        assert_eq!(skipped.reason, reason, "{name}");
        assert!(skipped.detail.contains(remedy), "{name}: {skipped}");
    }
}

#[test]
fn files_that_are_not_whole_are_named_as_such() {
    let whole = std::fs::read(folder().join("window.dcm")).unwrap();
    let mut damaged = vec![0; 128];
    damaged.extend(b"DICM");
    damaged.extend((0..400u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8));
    let skipped = of_bytes(&damaged).unwrap_err();
    assert_eq!(skipped.reason, SkipReason::Corrupt);
    assert!(
        skipped.detail.contains("export the file again"),
        "{skipped}"
    );
    for name in ["window", "implicit", "rle", "jpeg", "rgb"] {
        let bytes = std::fs::read(folder().join(format!("{name}.dcm"))).unwrap();
        // The last bytes may be padding or delimiters that no reader needs.
        for kept in (132..bytes.len() - 20).step_by(13) {
            let skipped = of_bytes(&bytes[..kept]).unwrap_err();
            let detail = &skipped.detail;
            assert!(
                !detail.contains("gave up"),
                "{name} cut at {kept}: {detail}"
            );
            assert!(detail.contains("DICOM"), "{name} cut at {kept}: {detail}");
        }
    }
    assert!(of_bytes(&whole).is_ok());
}

#[test]
fn a_folder_of_dicom_files_is_one_of_pictures_with_or_without_extension() {
    for extension in [".dcm", ""] {
        let root = tempfile::tempdir().unwrap();
        for class in ["benign", "malignant"] {
            for i in 0..3 {
                let file = root.path().join(class).join(format!("IM{i:04}{extension}"));
                write(file, std::fs::read(folder().join("window.dcm")).unwrap());
            }
        }
        let dataset = open(root.path(), &Default::default()).unwrap();
        assert_eq!(dataset.class_names, ["benign", "malignant"]);
        let report = decode(&dataset, &DecodeOptions::default(), |_, _| {}).unwrap();
        assert_eq!(report.decoded, 6);
    }
}

#[test]
fn no_text_of_a_header_is_in_anything_that_is_told() {
    // Every file of the folder, whole and with each of many bytes changed, whatever becomes of it.
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "dcm") {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        assert!(
            bytes.windows(6).any(|w| w == b"MARKER"),
            "{}",
            path.display()
        );
        for at in (132..bytes.len()).step_by(31) {
            let mut changed = bytes.clone();
            changed[at] ^= 0xff;
            if let Err(skipped) = of_bytes(&changed) {
                let told = serde_json::to_string(&skipped).unwrap() + &skipped.to_string();
                assert!(!told.contains("MARKER"), "{told}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_files_never_panic(
        name in prop::sample::select(vec!["window", "implicit", "rescaled", "rle", "rle_rgb", "jpeg", "planar"]),
        flips in prop::collection::vec((0.0..1.0f64, any::<u8>()), 1..12),
    ) {
        let mut bytes = std::fs::read(folder().join(format!("{name}.dcm"))).unwrap();
        for (position, value) in flips {
            let position = 132 + (position * (bytes.len() - 132) as f64) as usize;
            bytes[position] = value;
        }
        if let Err(skipped) = of_bytes(&bytes) {
            prop_assert!(!skipped.detail.contains("gave up"), "the decoder panicked");
        }
    }
}
