//! What the tests of the real binary share; each uses a part of it.

pub(crate) mod language_model;
pub(crate) mod schema;
pub(crate) mod server;

use assert_cmd::Command;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The bundled weights and drawings.
pub(crate) fn assets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets")
}

/// The program in a folder, without remarks and without what the environment says of servers.
pub(crate) fn program(folder: &Path) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_promptfed"));
    command
        .current_dir(folder)
        .env("PROMPTFED_ASSETS", assets())
        .env_remove("PROMPTFED_ADMIN_TOKEN")
        .env_remove("PROMPTFED_CREDENTIALS")
        .env_remove("PROMPTFED_TOKEN")
        .env_remove("PROMPTFED_SERVER")
        .env_remove("PROMPTFED_SERVER_FINGERPRINT")
        .arg("--quiet");
    command
}

/// [`program`] with these arguments, to be judged.
pub(crate) fn promptfed(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::from_std(program(folder));
    command.args(args);
    command
}

/// What a command that must succeed prints with `--json`, which is what its schema says.
pub(crate) fn json(command: &mut Command) -> Value {
    let assert = command.arg("--json").assert().success();
    let output = assert.get_output().stdout.clone();
    let printed = serde_json::from_slice(&output).unwrap();
    let args = command.get_args().map(|arg| arg.to_string_lossy());
    let args: Vec<String> = args.map(|arg| arg.into_owned()).collect();
    schema::check_printed(&args, &printed);
    printed
}

/// Enrols a client by what `client add` or `client rotate` printed of it; returns its credentials, a file named after it.
pub(crate) fn enrolled(folder: &Path, handed: &Value) -> String {
    let file = format!("{}.credentials", handed["name"].as_str().unwrap());
    let string = handed["enrolment"].as_str().unwrap();
    let enrol = ["enrol", "--force", "--credentials", &file];
    let told = json(promptfed(folder, &enrol).write_stdin(string));
    assert_eq!(told["client_id"], handed["client_id"]);
    assert_eq!(told["credentials"], file.as_str());
    file
}

/// Runs a command that must fail; returns its exit code and what it said.
pub(crate) fn failure(command: &mut Command) -> (i32, String) {
    let assert = command.assert().failure();
    let output = assert.get_output();
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(!told.contains("panicked"), "{told}");
    (output.status.code().unwrap(), told)
}
