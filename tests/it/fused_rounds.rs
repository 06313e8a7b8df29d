//! Fusion in rounds and comparisons, as people ask for it: the real binary, the bundled generators.

use crate::support::server::Server;
use crate::support::{assets, enrolled, failure, json, promptfed};
use assert_cmd::Command;
use serde_json::{Value, json};
use std::path::Path;

const THREE: [&str; 6] = [
    "--engine",
    "pocket",
    "--engine",
    "pocket:photo",
    "--engine",
    "pocket:draw",
];

/// Work that takes little time.
const SMALL: [&str; 6] = ["--steps", "1", "--width", "8", "--image-size", "16"];

const SMALL_MODELS: [&str; 4] = ["--task-epochs", "2", "--task-width", "8"];

#[test]
fn a_round_is_opened_with_a_fusion_and_tells_it() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let server = Server::start(here, &THREE);
    let there = ["--server", server.url.as_str()];
    let open = |more: &[&str]| {
        let mut command = promptfed(here, &["round", "open", "emoji", "--images", "90"]);
        let fixed = ["--epochs", "1", "--expected-clients", "1"];
        command.args(SMALL).args(fixed).args(there).args(more);
        command
    };
    let refused = |more: &[&str], code: i32, part: &str| {
        let told = failure(&mut open(more));
        assert_eq!(told.0, code, "{more:?}: {}", told.1);
        assert!(told.1.contains(part), "{more:?}: {}", told.1);
    };
    refused(&["--keep", "9"], 3, "--keep has no effect without --fuse");
    refused(
        &["--fuse", "--keep", "9", "--floor", "0.5"],
        3,
        "without --quotas",
    );
    refused(
        &["--fuse", "best", "--keep", "9"],
        2,
        "there are all, random",
    );
    refused(&["--fuse", "--keep", "9"], 3, "two sources or more");
    let with = |more: &[&'static str]| [&THREE[..], &["--fuse"], more].concat();
    refused(&with(&[]), 3, "how many");
    refused(&with(&["--keep", "91"]), 3, "from 1 to 90");
    refused(
        &with(&["--keep", "9", "--quotas", "feedback"]),
        3,
        "choose quotas by transfer",
    );
    let two = [
        &THREE[..4],
        &["--fuse", "--keep", "9", "--quotas", "transfer"],
    ]
    .concat();
    refused(&two, 3, "three sources or more");

    let flags = ["--keep", "45", "--quotas", "transfer", "--floor", "0.4"];
    let opened = json(open(&with(&flags)).args(SMALL_MODELS));
    let round = opened["round_id"].to_string();
    let added = json(promptfed(here, &["client", "add", "a"]).args(there));
    let credentials = enrolled(here, &added);
    let as_client = |args: &[&str]| {
        let who = ["--credentials", &credentials];
        json(promptfed(here, args).args(there).args(who))
    };
    let spec = as_client(&["round", "spec", &round]);
    assert_eq!(
        spec["synthesis"]["fuse"],
        json!({
            "select": "random", "keep": 45, "quotas": { "by": "transfer", "temperature": 0.05, "floor": 0.4 },
            "task": { "model": "network", "epochs": 2, "width": 8, "images": 4000 }, "signals": false,
        })
    );
    let private = assets().join("emoji/private.parquet");
    json(promptfed(here, &["extract", "--label-space", "emoji"]).arg(private));
    as_client(&["submit", "--round", &round]);
    let status = as_client(&["round", "status", &round, "--wait"]);
    assert_eq!(status["state"], "done", "{status}");
    let results = as_client(&["round", "results", &round]);
    let fusion = &results["fusion"];
    assert_eq!(
        (&fusion["made"], &fusion["chosen"]),
        (&json!(90), &json!(45))
    );
    let sources = fusion["sources"].as_array().unwrap();
    let names: Vec<&str> = sources
        .iter()
        .map(|s| s["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["pocket", "pocket:draw", "pocket:photo"]);
    let number = |value: &Value| value.as_u64().unwrap();
    let chosen: u64 = sources.iter().map(|source| number(&source["chosen"])).sum();
    assert_eq!(chosen, 45);
    for source in sources {
        assert_eq!(source["made"], 30);
        let classes = source["classes"].as_array().unwrap();
        assert!(classes.iter().all(|class| class["score"].is_number()));
    }
    assert_eq!(results["images"]["accepted"], 90);
}

fn compare(here: &Path, out: &str, more: &[&str]) -> Command {
    let mut command = promptfed(here, &["compare", "--label-space", "emoji"]);
    let fixed = [
        "--seeds",
        "1",
        "--partition",
        "iid:2",
        "--synthetic-epochs",
        "1",
        "--images",
        "30",
        "--out",
        out,
    ];
    command
        .arg("--private")
        .arg(assets().join("emoji/private.parquet"))
        .arg("--test")
        .arg(assets().join("emoji/test.parquet"))
        .args(SMALL)
        .args(fixed)
        .args(more);
    command
}

#[test]
fn one_engine_stands_beside_several_fused() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let flags = [
        &THREE[..],
        &SMALL_MODELS,
        &[
            "--methods",
            "fgl,fused",
            "--generated",
            "60",
            "--quotas",
            "transfer",
        ],
    ]
    .concat();
    let compared = json(&mut compare(here, "out", &flags));
    let methods = compared["methods"].as_array().unwrap();
    let [fgl, fused] = methods.as_slice() else {
        panic!("{methods:?}")
    };
    assert_eq!(
        (&fgl["name"], &fused["name"]),
        (&json!("fgl"), &json!("fused"))
    );
    assert_eq!(fgl["synthetic"], json!({ "made": 30, "trained_on": 30 }));
    assert_eq!(fused["synthetic"], json!({ "made": 60, "trained_on": 30 }));
    let prompts = |method: &Value| {
        let kinds = method["bytes_by_kind"].as_array().unwrap();
        let found = kinds.iter().find(|k| k["kind"] == "prompts").unwrap();
        found["bytes"].as_u64().unwrap()
    };
    assert_eq!(prompts(fgl), prompts(fused));

    let record = std::fs::read(here.join("out/report.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    let record = &record["comparison"];
    // Both sent the same, which is shown once.
    assert_eq!(record["prompts"].as_array().unwrap().len(), 2);
    let hash = |index: usize| record["methods"][index]["runs"][0]["model_hash"].clone();
    assert!(hash(0).is_string() && hash(0) != hash(1));
    let provenance = record["provenance"].as_array().unwrap();
    let told = |name: &str| {
        let row = provenance.iter().find(|row| row[0] == name);
        row.unwrap_or_else(|| panic!("{name}"))[1].as_str().unwrap()
    };
    assert_eq!(told("fused images trained on, seed 0"), "30 of 60");
    assert!(!told("fgl engine, seed 0").contains(';'));
    assert_eq!(told("fused engine, seed 0").matches(';').count(), 2);
    let page = std::fs::read_to_string(here.join("out/report.html")).unwrap();
    for part in [
        "synthetic, fgl",
        "synthetic, fused",
        "60 synthetic images made, 30 trained on",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn methods_have_the_engine_and_the_choice_that_they_are_told_and_their_sets_are_measured() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let soft = "fused:budget=generated:keep=0.5:quotas=none:select=random:soft-labels=0.5";
    let mixture = "fused:quotas=none:select=all";
    let methods = format!("fgl,fgl:engine=2,{soft},{mixture}");
    let told = ["--methods", methods.as_str(), "--quality"];
    let flags = [&THREE[..], &SMALL_MODELS, &told].concat();
    let compared = json(&mut compare(here, "out", &flags));
    let methods = compared["methods"].as_array().unwrap();
    let names: Vec<&str> = methods
        .iter()
        .map(|m| m["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["fgl", "fgl:engine=2", soft, mixture]);
    let images = |method: usize| methods[method]["synthetic"].clone();
    assert_eq!(images(1), json!({ "made": 30, "trained_on": 30 }));
    assert_eq!(images(2), json!({ "made": 30, "trained_on": 15 }));
    assert_eq!(images(3), json!({ "made": 30, "trained_on": 30 }));

    let record = std::fs::read(here.join("out/report.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    let provenance = record["comparison"]["provenance"].as_array().unwrap();
    let said = |name: &str| {
        let row = provenance.iter().find(|row| row[0] == name);
        row.unwrap_or_else(|| panic!("{name}"))[1].as_str().unwrap()
    };
    let weights = |method: &str| said(&format!("{method} engine weights, seed 0")).to_owned();
    assert!(weights("fgl") != weights("fgl:engine=2"));
    for method in names {
        for measure in ["density", "coverage", "precision", "recall", "Vendi score"] {
            let value = said(&format!("{method} synthetic set, {measure}, seed 0"));
            assert!(value.parse::<f64>().unwrap() >= 0.0, "{method} {measure}");
        }
    }

    let few = [&THREE[..], &["--methods", "fgl:engine=4"]].concat();
    let (code, told) = failure(&mut compare(here, "few", &few));
    assert!(code == 3 && told.contains("fgl:engine=4"), "{told}");
}

#[test]
fn flags_of_fused_are_for_fused() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let refused = |more: &[&str], part: &str| {
        let (code, told) = failure(&mut compare(here, "out", more));
        assert_eq!(code, 3, "{more:?}: {told}");
        assert!(told.contains(part), "{more:?}: {told}");
    };
    let methods =
        |methods: &'static str, more: &[&'static str]| [&["--methods", methods], more].concat();
    refused(
        &methods("fused", &["--engine", "pocket"]),
        "name another --engine",
    );
    refused(&methods("fgl", &THREE), "second --engine has no effect");
    for flag in [
        ["--generated", "60"],
        ["--fuse", "easy"],
        ["--quotas", "transfer"],
    ] {
        refused(&methods("fgl", &flag), "without fused");
    }
    let all = [&THREE[..], &["--fuse", "all", "--generated", "60"]].concat();
    refused(&methods("fused", &all), "beside --fuse all");
    let few = [&THREE[..], &["--generated", "29"]].concat();
    refused(&methods("fused", &few), "fewer than the 30");
    let two = [&THREE[..4], &["--quotas", "transfer"]].concat();
    refused(&methods("fused", &two), "three sources or more");
}
