//! Stable Diffusion as people run it: the real binary and the tiny checkpoints that `synth/golden/sd/make.py` makes.
#![allow(clippy::unwrap_used)]

mod hub;
mod job;
mod round;
mod words;

use assert_cmd::Command;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The folder of the tiny checkpoints.
fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("synth/tests/golden/sd")
}

/// `promptfed synth --engine sd` in a folder.
fn synth(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_promptfed"));
    command
        .current_dir(folder)
        .env_remove("HF_TOKEN")
        .env_remove("HF_HUB_CACHE")
        .env_remove("HF_HUB_OFFLINE")
        .args(["--quiet", "--json", "synth", "--engine", "sd"]);
    command
}

/// What a command that must succeed prints.
fn json(command: &mut Command) -> Value {
    let output = command.assert().success().get_output().stdout.clone();
    serde_json::from_slice(&output).unwrap()
}

/// Runs a command that must fail; returns its exit code and what it said.
fn failure(command: &mut Command) -> (i32, String) {
    let assert = command.assert().failure();
    let output = assert.get_output();
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(!told.contains("panicked"), "{told}");
    (output.status.code().unwrap(), told)
}

/// The files below `folder/images`, with their contents, in order.
fn images(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for class in std::fs::read_dir(folder.join("images")).unwrap() {
        for file in std::fs::read_dir(class.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            found.push((path.clone(), std::fs::read(path).unwrap()));
        }
    }
    found.sort();
    found
}
