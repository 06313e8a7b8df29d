//! Numbers of the NumPy reference, `synth/golden/fuse.py`.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// The case of this name.
pub(crate) fn golden<T: DeserializeOwned>(name: &str) -> T {
    let all: Value = serde_json::from_str(include_str!("../../tests/golden/fuse.json")).unwrap();
    serde_json::from_value(all[name].clone()).unwrap()
}
