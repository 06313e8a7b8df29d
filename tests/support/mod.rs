//! What the tests of the real binary share; each uses a part of it.
#![allow(dead_code)]

use assert_cmd::Command;
use serde_json::Value;

/// What a command that must succeed prints with `--json`.
pub(crate) fn json(command: &mut Command) -> Value {
    let assert = command.arg("--json").assert().success();
    let output = assert.get_output().stdout.clone();
    serde_json::from_slice(&output).unwrap()
}

/// Runs a command that must fail; returns its exit code and what it said.
pub(crate) fn failure(command: &mut Command) -> (i32, String) {
    let assert = command.assert().failure();
    let output = assert.get_output();
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(!told.contains("panicked"), "{told}");
    (output.status.code().unwrap(), told)
}
