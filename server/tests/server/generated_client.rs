//! A client that a public generator makes of the OpenAPI document takes part in a round; see `server/tests/generated_client.py`.

use std::path::Path;
use std::process::Command;

use promptfed_privacy::sealed_bytes;
use promptfed_prompts::protocol::RoundSpec;
use serde_json::{Value, json};

use crate::support::{CLASSES, Fixture, class_prompts, round_spec};

/// Names the Python that has the generator; without it `python3` is tried.
const PYTHON: &str = "PROMPTFED_GENERATOR_PYTHON";

/// The Python with the generator, where there is one.
fn python() -> Option<String> {
    let named = std::env::var(PYTHON).ok();
    let python = named.clone().unwrap_or("python3".to_owned());
    let has_it = Command::new(&python)
        .args(["-c", "import openapi_python_client, blake3, pyhpke"])
        .output()
        .is_ok_and(|output| output.status.success());
    assert!(
        has_it || named.is_none(),
        "{PYTHON} is {python}, which has no openapi-python-client, blake3 and pyhpke"
    );
    has_it.then_some(python)
}

#[test]
fn a_client_that_a_generator_makes_takes_part_in_a_round() {
    let Some(python) = python() else {
        eprintln!(
            "skipped: no Python with openapi-python-client, blake3 and pyhpke; name one in {PYTHON}"
        );
        return;
    };
    let fixture = Fixture::start();
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        file
    };
    let spec = RoundSpec {
        expected_clients: Some(1),
        ..round_spec()
    };
    let set = class_prompts(&[0, 1, 2]);
    let token = put("admin.token", fixture.server.admin_token().as_bytes());
    let plan = put("round.json", &serde_json::to_vec(&spec).unwrap());
    let prompts = put("prompts.bin", &set.to_wire());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/generated_client.py");
    let output = Command::new(python)
        .arg(script)
        .arg(fixture.server.url())
        .args([token, plan, prompts])
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    eprintln!("{told}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(told["operations"].as_u64().unwrap() > 20);
    assert_eq!(told["classes"], json!(CLASSES));
    assert_eq!(told["receipt"]["hash"], told["sent"]);
    assert_eq!(told["receipt"]["bytes"], sealed_bytes(set.to_wire().len()));
    assert_eq!(told["status"]["state"], "done");
    assert_eq!(told["pooled"]["prompts"], 3);
    assert_eq!(told["model"], told["model_hash"]);
    assert_eq!(told["refused"]["code"], "unauthenticated");
}
