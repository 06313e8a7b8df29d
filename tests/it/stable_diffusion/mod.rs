//! Stable Diffusion as people run it: the real binary and the tiny checkpoints that `synth/golden/sd/make.py` makes.

mod hub;
mod job;
mod round;
mod words;

use crate::support::{failure, json};
use assert_cmd::Command;
use std::path::{Path, PathBuf};

/// The folder of the tiny checkpoints.
fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("synth/tests/golden/sd")
}

/// `promptfed synth --engine sd:MODEL` in a folder.
fn synth(folder: &Path, model: impl AsRef<Path>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_promptfed"));
    command
        .current_dir(folder)
        .env_remove("HF_TOKEN")
        .env_remove("HF_HUB_CACHE")
        .env_remove("HF_HUB_OFFLINE")
        .args(["--quiet", "synth", "--engine"])
        .arg(format!("sd:{}", model.as_ref().display()));
    command
}

/// The files below `folder/images`, with their contents, in order.
fn images(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for class in std::fs::read_dir(folder.join("images")).unwrap() {
        let class = class.unwrap().path();
        if !class.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(class).unwrap() {
            let path = file.unwrap().path();
            found.push((path.clone(), std::fs::read(path).unwrap()));
        }
    }
    found.sort();
    found
}
