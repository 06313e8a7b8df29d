//! Captions by BLIP, domains and filtered images by CLIP, with the tiny models that `vision/golden/make.py` makes.

use super::{failure, golden, json, synth};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("vision/tests/golden")
        .join(name)
}

/// `promptfed extract` of two pictures of one class.
fn extract(folder: &Path, more: &[&str]) -> assert_cmd::Command {
    let class = folder.join("photos/church");
    std::fs::create_dir_all(&class).unwrap();
    for (i, shade) in [10u8, 200].into_iter().enumerate() {
        image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8 * 5, y as u8 * 7, shade]))
            .save(class.join(format!("{i}.png")))
            .unwrap();
    }
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_promptfed"));
    command
        .current_dir(folder)
        .args(["--quiet", "extract", "photos", "--layout", "class-folders"])
        .args(more);
    command
}

fn prompts(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("prompts.json")).unwrap()).unwrap()
}

#[test]
fn blip_writes_the_captions() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let blip = model("blip");
    let instance = ["--level", "instance", "--captioner", "blip", "--model"];
    let done = json(extract(here, &instance).arg(&blip));
    assert_eq!(done["images"], 2);
    let captions = prompts(here)["prompts"].to_string();
    assert!(captions.contains("caption"), "{captions}");

    let (code, told) = failure(&mut extract(
        here,
        &["--level", "instance", "--captioner", "blip"],
    ));
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("needs the folder of a BLIP model"), "{told}");
    let (code, told) = failure(extract(here, &instance).arg(model("clip")));
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("it is a CLIP model"), "{told}");
}

#[test]
fn clip_names_the_domain() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let clip = model("clip");
    let domains = [
        "--level",
        "domain",
        "--domains",
        "photo, pencil sketch",
        "--clip",
    ];
    let done = json(extract(here, &domains).arg(&clip));
    assert_eq!(done["prompts"], 1);
    let said = prompts(here)["prompts"].to_string();
    assert!(
        said.contains("photo") || said.contains("pencil sketch"),
        "{said}"
    );
    let (code, told) =
        failure(extract(here, &["--level", "domain", "--domains", "photo", "--clip"]).arg(&clip));
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("at least two domains"), "{told}");
}

#[test]
fn clip_filters_images() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let rows = ["dog", "ghost"].map(|class| {
        format!("{{\"class\": \"{class}\", \"prompt\": \"a photo of a {class}\", \"count\": 1}}\n")
    });
    std::fs::write(here.join("prompts.jsonl"), rows.concat()).unwrap();
    std::fs::write(
        here.join("pets.toml"),
        "name = \"pets\"\n[[classes]]\nname = \"dog\"\n[[classes]]\nname = \"ghost\"\n",
    )
    .unwrap();
    let filter = |out: &str, more: &[&str]| {
        let mut command = synth(here, golden().join("turbo"));
        command
            .args(["--height", "16", "--width", "16", "--out", out])
            .args(["--prompts", "prompts.jsonl", "--label-space", "pets.toml"])
            .args([
                "--images-per-prompt",
                "3",
                "--attempts",
                "2",
                "--filter-clip",
            ])
            .arg(model("clip"))
            .args(more);
        command
    };
    let output = filter("out", &["--min-score", "0.5"]).output().unwrap();
    let manifest = std::fs::read_to_string(here.join("out/manifest.jsonl")).unwrap();
    assert_eq!(manifest.lines().count(), 6);
    let mut seen = std::collections::BTreeSet::new();
    for line in manifest.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let scores = row["clip_scores"].as_array().unwrap();
        let passes = scores.last().unwrap().as_f64().unwrap() >= 0.5;
        assert_eq!(row["file"].is_string(), passes, "{row}");
        assert_eq!(row["rejected"] == "off_class", !passes, "{row}");
        assert!(row["clip_hash"].is_string());
        if passes {
            seen.insert(row["class"].as_u64().unwrap());
        }
    }
    // A class of which no image passes is a failure.
    let code = if seen.len() == 2 { 0 } else { 1 };
    assert_eq!(output.status.code(), Some(code), "{seen:?}");
    let (code, told) = failure(&mut filter("out", &["--min-score", "0.4"]));
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("different filter"), "{told}");
    let (code, told) = failure(&mut filter("other", &["--min-score", "7"]));
    assert_eq!(code, 2, "{told}");
    assert!(told.contains("above 0 and at most 1"), "{told}");
}
