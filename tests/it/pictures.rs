//! Pixels are what people see: turned pictures, and DICOM files of which nothing but the pixels gets out.

use crate::support::{failure, json, promptfed};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// A case of the shared inputs, where there is one.
fn case(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/cases")
        .join(name);
    if !folder.is_dir() {
        println!("skipped: {} is absent", folder.display());
        return None;
    }
    Some(folder)
}

/// Trains on `train` and returns the accuracy on `test`.
fn accuracy(here: &Path, train: &Path, test: &Path, more: &[&str]) -> f64 {
    let mut command = promptfed(here, &[]);
    command
        .arg("train")
        .arg(train)
        .args(["--layout", "class-folders"])
        .args(["--width", "8", "--batch-size", "16", "--epochs", "30"]);
    json(command.args(more));
    let mut command = promptfed(here, &[]);
    command.args(["evaluate", "model.safetensors"]).arg(test);
    let told = json(command.args(["--layout", "class-folders"]));
    told["evaluation"]["accuracy"].as_f64().unwrap()
}

/// 24 x 24 pixels, bright in the upper or the lower half; the brightness and the edge depend on `i`.
fn halves(is_up: bool, i: u32) -> RgbImage {
    RgbImage::from_fn(24, 24, |x, y| {
        let is_bright = (y < 10 + i % 5) == is_up;
        let noise = (x * 7 + y * 13 + i * 29) % 40;
        let value = if is_bright { 170 + noise } else { 20 + noise };
        Rgb([value as u8, (value / 2 + i % 60) as u8, 60])
    })
}

fn write(path: PathBuf, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn encoded(image: DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A JPEG that is stored upside down, with the EXIF orientation (3) that says so.
fn stored_upside_down(image: RgbImage) -> Vec<u8> {
    const EXIF: &[u8] =
        b"\xff\xe1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x03\0\0\0\0\0\0\0";
    let jpeg = encoded(DynamicImage::from(image).rotate180(), ImageFormat::Jpeg);
    [&jpeg[..2], EXIF, &jpeg[2..]].concat()
}

#[test]
fn pictures_that_are_stored_turned_are_seen_upright() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for (class, is_up) in [("up", true), ("down", false)] {
        for i in 0..24 {
            let png = encoded(halves(is_up, i).into(), ImageFormat::Png);
            write(here.join(format!("train/{class}/{i}.png")), &png);
            let jpeg = stored_upside_down(halves(is_up, 100 + i));
            write(here.join(format!("turned/{class}/{i}.jpg")), &jpeg);
        }
    }
    let seen = accuracy(
        here,
        &here.join("train"),
        &here.join("turned"),
        &["--image-size", "24"],
    );
    assert!(seen >= 0.9, "{seen}");
}

#[test]
fn the_given_pictures_that_are_stored_turned_are_seen_upright() {
    let Some(exif) = case("exif") else { return };
    let folder = tempfile::tempdir().unwrap();
    let seen = accuracy(folder.path(), &exif.join("EX"), &exif.join("EXT"), &[]);
    assert!(seen >= 0.8, "{seen}");
}

/// 96 x 24 pixels of noise; where `is_stamped`, with a bright patch at the left end.
fn strip(is_stamped: bool, i: u32) -> RgbImage {
    RgbImage::from_fn(96, 24, |x, y| {
        let noise = (x * 31 + y * 17 + i * 53 + x * y * 7) % 90;
        let is_patch = is_stamped && (4..18).contains(&x) && (4..20).contains(&y);
        let value = if is_patch { 160 + noise } else { 30 + noise };
        Rgb([value as u8; 3])
    })
}

#[test]
fn what_lies_at_the_ends_of_wide_pictures_is_learnt_with_another_fit() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for (set, first, count) in [("train", 0, 60), ("test", 1000, 30)] {
        for (class, is_stamped) in [("blank", false), ("stamped", true)] {
            for i in first..first + count {
                let png = encoded(strip(is_stamped, i).into(), ImageFormat::Png);
                write(here.join(format!("{set}/{class}/{i}.png")), &png);
            }
        }
    }
    let (train, test) = (here.join("train"), here.join("test"));
    for fit in ["pad", "squash"] {
        let seen = accuracy(here, &train, &test, &["--fit", fit, "--no-flip"]);
        assert!(seen >= 0.95, "{fit}: {seen}");
    }
    let cropped = accuracy(here, &train, &test, &["--fit", "crop", "--no-flip"]);
    assert!(
        cropped < 0.75,
        "what is cut off cannot be learnt: {cropped}"
    );
}

#[test]
fn the_ends_of_the_given_wide_pictures_are_learnt_with_another_fit() {
    let Some(wide) = case("wide") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (train, test) = (wide.join("train"), wide.join("test"));
    for fit in ["pad", "squash"] {
        let seen = accuracy(folder.path(), &train, &test, &["--fit", fit, "--no-flip"]);
        assert!(seen >= 0.95, "{fit}: {seen}");
    }
}

#[test]
fn what_decoding_changes_is_told_once_with_its_count() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for class in ["left", "right"] {
        for i in 0..3 {
            let wide = DynamicImage::new_rgba16(60, 20);
            let png = encoded(wide, ImageFormat::Png);
            write(here.join(format!("wide/{class}/{i}.png")), &png);
        }
    }
    let mut command = promptfed(here, &[]);
    let trained = command
        .args([
            "train",
            "wide",
            "--layout",
            "class-folders",
            "--epochs",
            "1",
        ])
        .args(["--image-size", "8", "--width", "4"])
        .assert()
        .success();
    let told = String::from_utf8(trained.get_output().stderr.clone()).unwrap();
    for part in ["--fit pad", "blended on white", "scaled to 0-255"] {
        assert_eq!(told.matches(part).count(), 1, "{part}: {told}");
    }
    assert!(told.contains("6 of 6 pictures"), "{told}");
    let extracted = json(&mut promptfed(
        here,
        &["extract", "wide", "--layout", "class-folders"],
    ));
    assert_eq!(extracted["adjusted"]["blended"], 6, "{extracted}");
}

fn dicom_files() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/tests/golden/dicom");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let dicom = files.filter(|path| path.extension().is_some_and(|e| e == "dcm"));
    dicom
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect()
}

#[test]
fn no_text_of_a_dicom_header_is_told_released_or_learnt() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for (name, bytes) in dicom_files() {
        assert!(bytes.windows(6).any(|w| w == b"MARKER"), "{name}");
        let cut = &bytes[..bytes.len() * 3 / 4];
        write(here.join(format!("scans/benign/{name}")), &bytes);
        write(here.join(format!("damaged/benign/{name}")), cut);
        write(here.join(format!("damaged/malignant/{name}")), cut);
        if !name.starts_with("unfit") {
            write(here.join(format!("scans/malignant/{name}")), &bytes);
            write(here.join(format!("scans/malignant/again_{name}")), &bytes);
        }
    }
    let cut = std::fs::read(here.join("damaged/benign/window.dcm")).unwrap();
    write(here.join("scans/malignant/cut.dcm"), &cut);
    let small = ["--epochs", "1", "--width", "4", "--image-size", "8"];
    let runs: [(&str, &str, &[&str], bool); 7] = [
        (
            "extract",
            "scans",
            &["--level", "instance", "--captioner", "attributes"],
            true,
        ),
        (
            "extract",
            "scans",
            &["--level", "instance", "--captioner", "attributes", "--json"],
            true,
        ),
        ("extract", "scans", &["--level", "class", "--counts"], true),
        ("extract", "scans", &["--strict"], false),
        ("extract", "damaged", &[], false),
        ("train", "scans", &small, true),
        ("train", "damaged", &small, false),
    ];
    for (command, data, more, succeeds) in runs {
        let output = promptfed(here, &[command, data, "--layout", "class-folders"])
            .args(more)
            .env("RUST_LOG", "trace")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        assert_eq!(
            output.status.success(),
            succeeds,
            "{command} {data} {more:?}: {told}"
        );
        assert!(
            !told.contains("MARKER"),
            "{command} {data} {more:?}: {told}"
        );
    }
    for written in ["prompts.json", "model.safetensors"] {
        let bytes = std::fs::read(here.join(written)).unwrap();
        assert!(!bytes.windows(6).any(|w| w == b"MARKER"), "{written}");
    }
}

#[test]
fn dicom_files_that_are_not_whole_are_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let mut damaged = vec![0; 128];
    damaged.extend(b"DICM");
    damaged.extend((0..400u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8));
    for class in ["benign", "malignant"] {
        for i in 0..4 {
            write(here.join(format!("scans/{class}/IM{i:04}.dcm")), &damaged);
        }
    }
    let mut cases = vec![here.join("scans")];
    cases.extend(case("dicom"));
    for data in cases {
        let mut command = promptfed(here, &[]);
        let (code, told) = failure(command.arg("extract").arg(&data));
        assert_ne!(code, 0);
        assert!(told.contains("IM0000.dcm"), "{told}");
        assert!(told.contains("export the file again"), "{told}");
    }
}

#[test]
fn heic_pictures_are_named_with_the_way_to_convert_them() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for class in ["cat", "dog"] {
        for i in 0..3 {
            let heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic........";
            write(here.join(format!("photos/{class}/IMG_{i}.HEIC")), heic);
        }
    }
    let (_, told) = failure(&mut promptfed(here, &["extract", "photos"]));
    assert!(
        told.contains("IMG_0.HEIC") && told.contains("heif-convert"),
        "{told}"
    );
}
