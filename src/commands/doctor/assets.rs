//! The weights and drawings that come with the program.

use super::finding::Finding;
use crate::commands::data;
use promptfed_files::read;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::path::Path;

const NAME: &str = "assets";

/// The files of this version with their hashes, as `sha256sum` writes them.
const SUMS: &str = include_str!("../../../assets/SHA256SUMS");

/// Larger than any of them, in bytes.
const MAX_BYTES: u64 = 1 << 30;

const REMEDY: &str = "bring them back from the release that this program is of, or name their folder in PROMPTFED_ASSETS";

pub(super) fn check() -> Vec<Finding> {
    let folder = match data::assets() {
        Ok(folder) => folder,
        Err(error) => return vec![Finding::error(NAME, &format!("{error:#}"))],
    };
    let faults: Vec<Finding> = sums()
        .filter_map(|(hash, name)| fault(&folder, name, hash))
        .collect();
    if !faults.is_empty() {
        return faults;
    }
    let files = sums().count();
    let text = format!(
        "{files} files in {}, all as they were released",
        folder.display()
    );
    vec![
        Finding::ok(NAME, text)
            .with("folder", folder.display().to_string())
            .with("files", files),
    ]
}

/// Hash and name of each file.
fn sums() -> impl Iterator<Item = (&'static str, &'static str)> {
    SUMS.lines().filter_map(|line| line.split_once("  "))
}

/// What is wrong with a file.
fn fault(folder: &Path, name: &str, hash: &str) -> Option<Finding> {
    let file = folder.join(name);
    let found = |text: String| {
        Finding::fault(NAME, text, REMEDY).with("file", json!(file.display().to_string()))
    };
    let bytes = match read(&file, MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error) => return Some(found(error.to_string())),
    };
    let digest = Sha256::digest(&bytes);
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    (digits != hash).then(|| {
        found(format!(
            "{} is damaged or of another version (SHA-256 {digits}, released as {hash})",
            file.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_of_the_assets_in_the_repository() {
        let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
        assert!(sums().count() > 10);
        for (hash, name) in sums() {
            let fault = fault(&assets, name, hash).map(|fault| fault.lines());
            assert!(
                fault.is_none(),
                "{fault:?}; where they were changed on purpose, run packaging/asset_sums.sh"
            );
        }
        for name in ["all", "photo", "draw"] {
            let weights = format!("pocket/{name}/model.safetensors");
            assert!(sums().any(|(_, listed)| listed == weights), "{weights}");
        }
    }
}
