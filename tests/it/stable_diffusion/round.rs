//! Rounds over HTTP whose images Stable Diffusion makes.

use super::{failure, golden, json};
use crate::support;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

/// The folder of the tiny CLIP model.
fn clip() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vision/tests/golden/clip")
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_round_with_the_engine_sd() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    let child = std::process::Command::new(env!("CARGO_BIN_EXE_promptfed"))
        .args([
            "serve",
            "--addr",
            "127.0.0.1:0",
            "--json",
            "--size",
            "16",
            "--engine",
        ])
        .arg(format!("sd:{}", golden().join("turbo").display()))
        .arg("--filter-clip")
        .arg(clip())
        .env("PROMPTFED_ASSETS", &assets)
        .current_dir(here)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut server = Server(child);
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let url = ready["url"].as_str().unwrap();
    let run = |args: &[&str]| {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_promptfed"));
        command
            .current_dir(here)
            .env("PROMPTFED_ASSETS", &assets)
            .arg("--quiet")
            .args(args);
        command
    };
    let there = ["--server", url];
    let added = json(run(&["client", "add", "hospital-a"]).args(there));
    let who = &support::enrolled(here, &added);
    let open = [
        "round",
        "open",
        "--engine",
        "sd",
        "--label-space",
        "emoji",
        "--steps",
        "2",
        "--epochs",
        "1",
        "--width",
        "8",
        "--expected-clients",
        "1",
        "--min-score",
        "0.000001",
    ];
    assert_eq!(json(run(&open).args(there))["state"], "open");
    let extract = ["extract", "--round", "1", "--credentials", who];
    json(
        run(&extract)
            .args(there)
            .arg(assets.join("emoji/private.parquet")),
    );
    json(run(&["submit", "--round", "1", "--credentials", who]).args(there));
    let status = ["round", "status", "1", "--wait", "--credentials", who];
    let status = json(run(&status).args(there));
    assert_eq!(status["state"], "done", "{status}");
    let results = json(run(&["round", "results", "1", "--credentials", who]).args(there));
    let filter = &results["sources"][0]["sampling"]["filter"];
    assert!((filter["min_score"].as_f64().unwrap() - 1e-6).abs() < 1e-9);
    let rows = here.join("promptfed-server/rounds/1/synthetic/manifest.jsonl");
    for line in std::fs::read_to_string(rows).unwrap().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        assert_eq!(row["clip_hash"], filter["clip_hash"]);
        assert!(!row["clip_scores"].as_array().unwrap().is_empty());
    }
}

#[test]
fn a_comparison_with_the_engine_sd() {
    let folder = tempfile::tempdir().unwrap();
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    let emoji = assets.join("emoji");
    let compare = |more: &[&str]| {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_promptfed"));
        command
            .current_dir(folder.path())
            .env("PROMPTFED_ASSETS", &assets)
            .args(["--quiet", "compare", "--force", "--methods", "fgl"])
            .args(["--label-space", "emoji", "--seeds", "1", "--images", "12"])
            .args([
                "--steps",
                "1",
                "--guidance",
                "1..3",
                "--synthetic-epochs",
                "1",
            ])
            .args(["--width", "8", "--image-size", "16"])
            .arg("--private")
            .arg(emoji.join("private.parquet"))
            .arg("--test")
            .arg(emoji.join("test.parquet"))
            .args(more);
        command
    };
    let (code, told) = failure(&mut compare(&["--engine", "sd"]));
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("sd:FOLDER"), "{told}");
    let model = format!("sd:{}", golden().join("turbo").display());
    let done = json(&mut compare(&["--size", "16", "--engine", &model]));
    assert_eq!(done["methods"][0]["name"], "fgl");
    let report = std::fs::read_to_string(done["report"].as_str().unwrap()).unwrap();
    assert!(report.contains("sd 3"), "the engine and its version");
    assert!(report.contains("no filter"));

    let clip = clip();
    let filtering = [
        "--size",
        "16",
        "--filter-clip",
        clip.to_str().unwrap(),
        "--engine",
        &model,
    ];
    let report = |more: &[&str]| {
        let done = json(compare(&filtering).args(more));
        std::fs::read_to_string(done["report"].as_str().unwrap()).unwrap()
    };
    assert!(report(&["--min-score", "0.000001"]).contains("0.000001"));
    // No image of random weights shows its class to another model of random weights.
    let (code, told) = failure(compare(&filtering).args(["--min-score", "1"]));
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("no image was accepted"), "{told}");
    let (code, told) = failure(&mut compare(&["--min-score", "0.5"]));
    assert_eq!(code, 2, "{told}");
    assert!(told.contains("--filter-clip"), "{told}");
}
