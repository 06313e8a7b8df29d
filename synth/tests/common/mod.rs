//! What the integration tests share.
#![allow(dead_code)]

use std::path::PathBuf;

use promptfed_synth::engines::pocket::Pocket;

pub(crate) fn weights() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "assets", "pocket", "demo"].iter().collect()
}

pub(crate) fn pocket() -> Pocket {
    Pocket::load(&weights()).unwrap()
}

pub(crate) fn golden(name: &str) -> Vec<u8> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden", name].iter().collect();
    std::fs::read(path).unwrap()
}
