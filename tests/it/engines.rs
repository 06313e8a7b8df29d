//! Engines as people name them: several in one run, names in the configuration, and those of another machine.

use crate::support::server::Server;
use crate::support::{assets, enrolled, failure, json, promptfed};
use assert_cmd::Command;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// `promptfed synth` of the prompts that [`write_prompts`] wrote.
fn synth(folder: &Path, out: &str, args: &[&str]) -> Command {
    let mut command = promptfed(folder, &["synth", "--prompts", "list.jsonl"]);
    command
        .args(["--label-space", "emoji", "--steps", "2", "--out", out])
        .args(args);
    command
}

fn write_prompts(folder: &Path) {
    let rows = ["fruit", "tool", "vehicle"].map(|class| {
        json!({ "class": class, "domain": "noto", "prompt": format!("a drawing of a {class}") })
            .to_string()
    });
    std::fs::write(folder.join("list.jsonl"), rows.join("\n")).unwrap();
}

fn manifest(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("manifest.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn hashes(folder: &Path) -> Vec<String> {
    let rows = manifest(folder).into_iter();
    rows.map(|row| row["pixel_hash"].as_str().unwrap().to_owned())
        .collect()
}

/// `promptfed synth serve` of an engine at an address.
fn image_server(folder: &Path, engine: &str, addr: &str) -> Server {
    let token = ["--token-file", "images.token"];
    let command = ["synth", "serve", "--addr", addr, "--engine", engine];
    Server::listening(folder, &[&command[..], &token].concat())
}

#[test]
fn several_engines_share_a_total_and_each_has_an_ordinary_job() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    write_prompts(here);
    let both = [
        "--engine",
        "pocket",
        "--engine",
        "pocket:draw",
        "--images",
        "13",
    ];
    let done = json(&mut synth(here, "out", &both));
    assert_eq!(done["accepted"], 13);
    let states: Vec<&Value> = done["backends"].as_array().unwrap().iter().collect();
    assert_eq!(states[0]["name"], "pocket");
    assert_eq!(states[1]["folder"], "backends/pocket-draw");
    assert!(states.iter().all(|backend| backend["state"] == "done"));
    json(&mut synth(
        here,
        "alone",
        &["--engine", "pocket:draw", "--images", "7"],
    ));
    assert_eq!(
        hashes(&here.join("alone")),
        hashes(&here.join("out/backends/pocket-draw"))
    );
    assert_eq!(manifest(&here.join("out/backends/pocket")).len(), 6);
    let again = json(&mut synth(here, "out", &both));
    assert_eq!(again["backends"][0]["report"]["resumed"], 6);
    // All of them together are one training set.
    let trained = json(&mut promptfed(
        here,
        &[
            "train",
            "out",
            "--epochs",
            "1",
            "--width",
            "4",
            "--out",
            "m.safetensors",
        ],
    ));
    assert!(trained.to_string().contains("13"), "{trained}");
    let (code, told) = failure(&mut synth(here, "out", &["--engine", "pocket"]));
    assert_eq!(code, 3, "{told}");
}

#[test]
fn engines_have_names_in_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    write_prompts(here);
    let config = "[[backends]]\nname = \"sketches\"\nengine = \"pocket:draw\"\nbatch = 2\n";
    std::fs::write(here.join("promptfed.toml"), config).unwrap();
    json(&mut synth(here, "named", &["--engine", "sketches"]));
    json(&mut synth(here, "plain", &["--engine", "pocket:draw"]));
    assert_eq!(hashes(&here.join("named")), hashes(&here.join("plain")));
    for (args, part) in [
        (
            &["--engine", "sketch"][..],
            "[[backends]] of the configuration are sketches",
        ),
        (
            &["--engine", "pocket", "--engine", "pocket:all"],
            "two engines are called pocket",
        ),
        (&["--key-env", "X"], "without --engine remote or a1111"),
        (&["--engine", "pocket:nowhere"], "all, photo, draw"),
        (
            &[
                "--engine",
                "remote:http://127.0.0.1:9/v1",
                "--key-env",
                "NO_SUCH_VARIABLE",
            ],
            "NO_SUCH_VARIABLE",
        ),
        (
            &[
                "--engine",
                "pocket",
                "--engine",
                "pocket:draw",
                "--limit",
                "1",
            ],
            "--limit is for one engine",
        ),
        (
            &["--engine", "remote:http://user:hunter2@127.0.0.1:1/v1"],
            "user name or password",
        ),
        (
            &[
                "--engine",
                "remote:http://user:hunter2@127.0.0.1:1/v1",
                "--engine",
                "remote:http://127.0.0.1:2/v1",
            ],
            "user name or password",
        ),
        (
            &[
                "--engine",
                "remote:http://127.0.0.1:1/v1",
                "--engine",
                "a1111:http://127.0.0.1:2",
                "--key-env",
                "PATH",
            ],
            "one key would be sent to remote and a1111",
        ),
        (
            &["--engine", "remote:http://127.0.0.1:1/v1?key=hunter2"],
            "query",
        ),
        (
            &[
                "--engine",
                "pocket",
                "--engine",
                "pocket:draw",
                "--images",
                "1",
            ],
            "--images 1 leaves none",
        ),
    ] {
        let (code, told) = failure(&mut synth(here, "x", args));
        assert!(told.contains(part), "{args:?}: {told}");
        assert_eq!(code, 3, "{told}");
        assert!(!told.contains("hunter2"), "{told}");
        assert!(!here.join("x").exists());
    }
}

#[test]
fn another_machine_s_engine_makes_the_same_images_through_kill_and_restart() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    write_prompts(here);
    let many = ["--images-per-prompt", "60", "--batch", "8"];
    json(&mut synth(here, "near", &many));

    let server = image_server(here, "pocket", "127.0.0.1:0");
    let engine = format!("remote:{}", server.url);
    let far: Vec<&str> = ["--engine", &engine, "--key-file", "images.token"]
        .into_iter()
        .chain(many)
        .collect();
    let config = format!(
        "[[backends]]\nname = \"far\"\nengine = \"{engine}\"\nkey-file = \"images.token\"\ntries = 1\nlongest-pause = 0\n"
    );
    std::fs::write(here.join("promptfed.toml"), config).unwrap();
    let mut killed: Vec<&str> = vec!["--engine", "far"];
    killed.extend(many);
    let mut running = std::process::Command::new(env!("CARGO_BIN_EXE_promptfed"))
        .current_dir(here)
        .args([
            "--quiet",
            "synth",
            "--prompts",
            "list.jsonl",
            "--label-space",
            "emoji",
        ])
        .args(["--steps", "2", "--out", "far"])
        .args(&killed)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let rows = || {
        std::fs::read_to_string(here.join("far/manifest.jsonl")).map_or(0, |t| t.lines().count())
    };
    let start = Instant::now();
    while rows() < 16 && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(2));
    }
    drop(server);
    let status = running.wait().unwrap();
    let before = rows();
    // The server may have been quicker than this test.
    if status.success() {
        assert_eq!(before, 180);
    } else {
        assert_eq!(status.code(), Some(4));
        assert!((16..180).contains(&before), "{before}");
    }
    let address = engine
        .trim_start_matches("remote:http://")
        .trim_end_matches("/v1");
    let _server = image_server(here, "pocket", address);
    let done = json(&mut synth(here, "far", &far));
    assert_eq!(done["report"]["resumed"], before);
    assert_eq!(done["reproducible"], "exact");
    assert_eq!(hashes(&here.join("far")), hashes(&here.join("near")));

    let token = std::fs::read_to_string(here.join("images.token")).unwrap();
    for file in ["far/job.json", "far/manifest.jsonl"] {
        assert!(
            !std::fs::read_to_string(here.join(file))
                .unwrap()
                .contains(token.trim())
        );
    }
    std::fs::write(here.join("wrong.token"), "a-wrong-token-0123456789").unwrap();
    let wrong = ["--engine", &engine, "--key-file", "wrong.token"];
    let (code, told) = failure(&mut synth(here, "wrong", &wrong));
    assert_eq!(code, 4, "{told}");
    assert!(
        told.contains("401") && !told.contains("a-wrong-token"),
        "{told}"
    );
}

#[test]
fn several_engines_go_on_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    write_prompts(here);
    let args = [
        "--engine",
        "pocket",
        "--engine",
        "pocket:draw",
        "--images",
        "400",
        "--batch",
        "8",
    ];
    json(&mut synth(here, "whole", &args));
    let mut running = std::process::Command::new(env!("CARGO_BIN_EXE_promptfed"))
        .current_dir(here)
        .env("PROMPTFED_ASSETS", assets())
        .args([
            "--quiet",
            "synth",
            "--prompts",
            "list.jsonl",
            "--label-space",
            "emoji",
        ])
        .args(["--steps", "2", "--out", "killed"])
        .args(args)
        .spawn()
        .unwrap();
    let made = || {
        let manifest = here.join("killed/backends/pocket-draw/manifest.jsonl");
        std::fs::read_to_string(manifest).map_or(0, |text| text.lines().count())
    };
    let start = Instant::now();
    while made() < 16 && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(1));
    }
    running.kill().unwrap();
    running.wait().unwrap();
    let done = json(&mut synth(here, "killed", &args));
    assert_eq!(done["backends"][0]["report"]["resumed"], 200);
    assert!(done["backends"][1]["report"]["resumed"].as_u64().unwrap() >= 16);
    for name in ["pocket", "pocket-draw"] {
        let of = |out: &str| hashes(&here.join(out).join("backends").join(name));
        assert_eq!(of("killed"), of("whole"), "{name}");
    }
    let record = |out: &str| std::fs::read(here.join(out).join("backends.json")).unwrap();
    assert_eq!(record("killed"), record("whole"));
}

#[test]
fn a_server_that_is_out_of_reach_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    write_prompts(here);
    let config = "[[backends]]\nname = \"far\"\nengine = \"remote:http://127.0.0.1:1/v1\"\ntries = 1\n\
                  [[backends]]\nname = \"farther\"\nengine = \"a1111:http://127.0.0.1:1\"\ntries = 1\n";
    std::fs::write(here.join("promptfed.toml"), config).unwrap();
    let output = synth(
        here,
        "out",
        &["--engine", "far", "--engine", "pocket", "--json"],
    )
    .output()
    .unwrap();
    assert!(output.status.success());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("the engine far was set aside") && told.contains("no connection"),
        "{told}"
    );
    let done: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(done["backends"][0]["state"], "set_aside");
    assert_eq!(done["accepted"], 3);
    let record = std::fs::read_to_string(here.join("out/backends.json")).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["backends"]["far"]["outcome"]["state"], "set_aside");
    for engines in [
        &["--engine", "far"][..],
        &["--engine", "far", "--engine", "farther"],
    ] {
        let (code, told) = failure(&mut synth(here, "none", engines));
        assert_eq!(code, 4, "{told}");
        let _ = std::fs::remove_dir_all(here.join("none"));
    }
}

#[test]
fn a_round_has_several_engines() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let engines = ["--engine", "pocket", "--engine", "pocket:draw"];
    let server = Server::start(here, &engines);
    let there = ["--server", server.url.as_str()];
    let run = |args: &[&str]| promptfed(here, args);
    let open = [
        "round",
        "open",
        "emoji",
        "--steps",
        "2",
        "--epochs",
        "1",
        "--width",
        "8",
        "--expected-clients",
        "1",
    ];
    let (code, told) = failure(run(&open).args(["--engine", "sd"]).args(there));
    assert_eq!(code, 4, "{told}");
    assert!(told.contains("pocket, pocket:draw"), "{told}");
    let both = [
        "--engine",
        "pocket",
        "--engine",
        "pocket:draw",
        "--images",
        "45",
    ];
    let opened = json(run(&open).args(both).args(there));
    let round = opened["round_id"].to_string();
    let who = enrolled(here, &json(run(&["client", "add", "a"]).args(there)));
    json(run(&["extract", "--label-space", "emoji"]).arg(assets().join("emoji/private.parquet")));
    json(run(&["submit", "--round", &round, "--credentials", &who]).args(there));
    let status =
        json(run(&["round", "status", &round, "--wait", "--credentials", &who]).args(there));
    assert_eq!(status["state"], "done", "{status}");
    let results = json(run(&["round", "results", &round, "--credentials", &who]).args(there));
    let sources = results["sources"].as_array().unwrap();
    assert_eq!(sources.len(), 2);
    assert_eq!(sources[0]["images"]["planned"], 22);
    assert_eq!(sources[1]["images"]["planned"], 23);
    assert!(
        sources.iter().all(|source| source["outcome"] == "done"),
        "{sources:?}"
    );
    assert_ne!(
        sources[0]["engine"]["weights_hash"],
        sources[1]["engine"]["weights_hash"]
    );
    assert_eq!(results["images"]["planned"], 45);
    drop(server);
}
