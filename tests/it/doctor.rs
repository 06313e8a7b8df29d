//! `promptfed doctor`: what it finds well, and what not.

use crate::support::server::Server;
use crate::support::{assets, json, promptfed, schema};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

/// The findings of a check.
fn of<'v>(told: &'v Value, check: &str) -> Vec<&'v Value> {
    let all = told["findings"].as_array().unwrap();
    all.iter().filter(|one| one["check"] == check).collect()
}

/// Runs the command, which must find faults, and gives what it printed.
fn faulty(here: &Path, args: &[&str], assets: Option<&Path>) -> Value {
    let mut command = promptfed(here, &["doctor", "--json"]);
    command.args(args);
    if let Some(assets) = assets {
        command.env("PROMPTFED_ASSETS", assets);
    }
    let assert = command.assert().code(1);
    let told: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    schema::check("doctor", &told);
    let faults = told["findings"].as_array().unwrap().iter();
    let faults = faults.filter(|one| one["state"] == "fault").count();
    assert!(faults > 0 && told["faults"] == faults, "{told}");
    told
}

#[test]
fn a_machine_and_a_server_that_can_work() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let server = Server::start(here, &[]);
    json(&mut promptfed(
        here,
        &["round", "open", "emoji", "--server", &server.url],
    ));
    std::fs::write(
        here.join("promptfed.toml"),
        "[synth]\nsteps = 3\n\n[round.open]\nepochs = 2\n",
    )
    .unwrap();
    let mut command = promptfed(here, &["doctor", "--server", &server.url]);
    let told = json(command.env("PROMPTFED_TOKEN", "pfc-secret"));
    assert_eq!(told["faults"], 0, "{told}");
    for check in [
        "program",
        "assets",
        "settings",
        "data-folder",
        "server",
        "clock",
    ] {
        let found = of(&told, check);
        assert!(!found.is_empty(), "{check}: {told}");
        assert!(found.iter().all(|one| one["state"] == "ok"), "{found:?}");
    }
    assert_eq!(of(&told, "disk").len(), 2);
    let data = &of(&told, "data-folder")[0]["values"];
    assert_eq!(data["rounds"], json!({ "open": 1 }));
    assert_eq!(data["in_use"], true);
    assert_eq!(data["database_version"], data["newest_version"]);
    let settings = of(&told, "settings");
    let lines = json!({ "synth.steps": 2, "round.open.epochs": 5 });
    assert_eq!(settings[0]["values"]["lines"], lines);
    let named = settings[1]["values"]["environment"].as_array().unwrap();
    assert!(named.contains(&json!("PROMPTFED_TOKEN")), "{named:?}");
    assert!(!told.to_string().contains("pfc-secret"));
    // Plain HTTP shows no certificate.
    assert!(of(&told, "certificate").is_empty());

    drop(server);
    let told = json(&mut promptfed(here, &["doctor", "--only", "data-folder"]));
    assert_eq!(told["findings"].as_array().unwrap().len(), 1);
    assert_eq!(of(&told, "data-folder")[0]["values"]["in_use"], false);
}

#[cfg(unix)]
#[test]
fn assets_that_are_damaged_or_missing_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("assets");
    let sums = std::fs::read_to_string(assets().join("SHA256SUMS")).unwrap();
    for line in sums.lines() {
        let (_, name) = line.split_once("  ").unwrap();
        let link = copy.join(name);
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(assets().join(name), link).unwrap();
    }
    let only = ["--only", "assets"];
    let mut whole = promptfed(folder.path(), &["doctor", "--only", "assets"]);
    json(whole.env("PROMPTFED_ASSETS", &copy));
    let (damaged, missing) = ("pocket/draw/words.txt", "emoji/test.parquet");
    let mut words = std::fs::read(copy.join(damaged)).unwrap();
    words[0] ^= 1;
    std::fs::remove_file(copy.join(damaged)).unwrap();
    std::fs::write(copy.join(damaged), words).unwrap();
    std::fs::remove_file(copy.join(missing)).unwrap();
    let told = faulty(folder.path(), &only, Some(&copy));
    assert_eq!(told["faults"], 2);
    for (name, part) in [(damaged, "is damaged"), (missing, "does not exist")] {
        let mut found = of(&told, "assets").into_iter();
        let text = found
            .find_map(|one| one["text"].as_str().filter(|text| text.contains(name)))
            .unwrap();
        assert!(text.contains(part), "{text}");
    }
    let nowhere = faulty(folder.path(), &only, Some(&folder.path().join("none")));
    assert!(nowhere["faults"].as_u64().unwrap() > 10);
}

#[cfg(target_os = "linux")]
#[test]
fn folders_that_take_no_files_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    // Nobody can make files there, the superuser neither.
    let told = faulty(here, &["--only", "disk", "--data-dir", "/proc"], None);
    let text = of(&told, "disk")[1]["text"].as_str().unwrap();
    assert!(text.contains("/proc takes no files"), "{text}");
    let told = faulty(here, &["--only", "disk", "--data-dir", "none"], None);
    let text = of(&told, "disk")[1]["text"].as_str().unwrap();
    assert!(text.contains("none is no folder"), "{text}");
    let told = faulty(here, &["--only", "data-folder", "--data-dir", "."], None);
    let text = of(&told, "data-folder")[0]["text"].as_str().unwrap();
    assert!(text.contains("holds no server's data"), "{text}");
}

#[test]
fn servers_that_are_not_there_or_something_else() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let page = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", page.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in page.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let body = "<!doctype html><title>Log in</title>";
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all((head + body).as_bytes());
        }
    });
    for (url, part) in [
        ("http://127.0.0.1:1", "no answer"),
        (address.as_str(), "a web page answered"),
        ("http://192.0.2.1:7878", "--allow-plain-http"),
        ("server", "address"),
    ] {
        let told = faulty(here, &["--only", "server", "--server", url], None);
        let text = of(&told, "server")[0]["text"].as_str().unwrap();
        assert!(text.contains(part), "{url}: {text}");
        assert!(of(&told, "clock").is_empty());
    }
    let assert = promptfed(here, &["doctor", "--only", "server"])
        .env_remove("PROMPTFED_SERVER")
        .assert()
        .code(3);
    let told = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    assert!(told.contains("--server URL"), "{told}");
}

#[test]
fn certificates_are_shown_believed_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let server = Server::start(here, &["--data-dir", "data", "--tls", "self-signed"]);
    let fingerprint = std::fs::read_to_string(here.join("data/tls/fingerprint")).unwrap();
    let fingerprint = fingerprint.trim();
    let ask = ["--only", "server", "--server", &server.url];
    let told = faulty(here, &ask, None);
    let text = of(&told, "server")[0]["text"].as_str().unwrap();
    assert!(text.contains("--server-fingerprint"), "{text}");
    let certificate = of(&told, "certificate")[0];
    assert_eq!(certificate["values"]["chain"][0]["sha256"], fingerprint);
    let text = certificate["text"].as_str().unwrap();
    assert!(text.contains("signed by itself"), "{text}");

    let authority = here.join("data/tls/cert.pem");
    let authority = authority.to_str().unwrap();
    for trust in [
        ["--server-fingerprint", fingerprint],
        ["--ca-file", authority],
    ] {
        let command = &mut promptfed(here, &["doctor"]);
        let told = json(command.args(ask).args(trust));
        for check in ["server", "certificate", "clock"] {
            assert_eq!(of(&told, check)[0]["state"], "ok", "{told}");
        }
    }
    let other = "0".repeat(64);
    let wrong = [&ask[..], &["--server-fingerprint", &other]].concat();
    let told = faulty(here, &wrong, None);
    let text = of(&told, "server")[0]["text"].as_str().unwrap();
    assert!(
        text.contains(fingerprint) && text.contains(&other),
        "{text}"
    );
}
