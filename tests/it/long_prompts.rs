//! Prompts that are longer than the generator reads: told, recorded and counted, wherever images are made.

use crate::support::{json, promptfed};
use serde_json::Value;
use std::path::Path;

/// As many tokens as `pocket` reads.
const READ: &str = "1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2";

#[test]
fn synth_tells_what_is_not_read_and_what_reads_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let line = |class: &str, prompt: &str| {
        format!(
            "{}\n",
            serde_json::json!({"class": class, "prompt": prompt})
        )
    };
    let lines = [
        line("mammal", &format!("{READ} in the snow")),
        line("vehicle", &format!("{READ} on a beach")),
        line("mammal", "a cat"),
    ];
    std::fs::write(here.join("long.jsonl"), lines.concat()).unwrap();
    let synth = |out: &str| {
        let args = ["synth", "--prompts", "long.jsonl", "--label-space", "emoji"];
        let mut command = promptfed(here, &args);
        command.args(["--steps", "1", "--images-per-prompt", "2", "--out", out]);
        command
    };
    let told = synth("text").assert().success();
    let warned = String::from_utf8(told.get_output().stderr.clone()).unwrap();
    for part in [
        "warning: 2 of 3 prompts are longer",
        "\"in the snow\"",
        "warning: 2 of 3 prompts differ",
        "prompts 1 and 2",
    ] {
        assert!(warned.contains(part), "{part}: {warned}");
    }
    let counted = String::from_utf8(told.get_output().stdout.clone()).unwrap();
    assert!(counted.contains("4 of prompts that"), "{counted}");

    let report = json(&mut synth("json"))["report"].clone();
    assert_eq!(report["cut"], 4);
    assert_eq!(report["notes"].as_array().unwrap().len(), 2);
    let rows = std::fs::read_to_string(here.join("json/manifest.jsonl")).unwrap();
    let cuts: Vec<Value> = rows
        .lines()
        .map(|row| serde_json::from_str::<Value>(row).unwrap()["cut"].clone())
        .collect();
    let [snow, beach] = ["in the snow", "on a beach"].map(Value::from);
    let wanted = [&snow, &snow, &beach, &beach, &Value::Null, &Value::Null];
    assert_eq!(cuts.iter().collect::<Vec<_>>(), wanted);
}

/// The class stands where nothing is read: every class looks alike.
#[test]
fn a_round_and_its_comparison_tell_it_too() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let templates = format!(
        "name = \"long\"\n[[templates]]\nlevel = \"class\"\npositive = \"{READ} {{label}}\"\nnegative = \"\"\n"
    );
    std::fs::write(here.join("long.toml"), templates).unwrap();
    let drawings = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/emoji");
    let mut compare = promptfed(here, &["compare", "--label-space", "emoji"]);
    compare
        .arg("--private")
        .arg(drawings.join("private.parquet"))
        .arg("--test")
        .arg(drawings.join("test.parquet"))
        .args(["--methods", "fgl", "--seeds", "2", "--images", "32"])
        .args(["--steps", "1", "--synthetic-epochs", "1", "--width", "8"])
        .args(["--image-size", "16", "--level", "class"])
        .args(["--templates", "long.toml", "--out", "out", "--json"]);
    let told = compare.assert().success();
    let output = told.get_output();
    let warned = String::from_utf8(output.stderr.clone()).unwrap();
    let compared: Value = serde_json::from_slice(&output.stdout).unwrap();
    let warnings: Vec<&str> = compared["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|warning| warning.as_str().unwrap())
        .collect();
    for part in ["are longer than", "differ from another one"] {
        // Once for both seeds.
        assert_eq!(warned.matches(part).count(), 1, "{warned}");
        let of_part = warnings.iter().filter(|warning| warning.contains(part));
        assert_eq!(of_part.count(), 1, "{warnings:?}");
    }
    let report = std::fs::read_to_string(here.join("out/report.html")).unwrap();
    assert!(report.contains("prompts are longer than"));
}
