//! Where settings come from, how errors are told to programs, and the form of what programs read.

use crate::support::{json, promptfed, schema};
use serde_json::Value;
use std::path::Path;

const ONE: [&str; 6] = ["synth", "--prompt", "a dog", "--out", "out", "--json"];

fn settings(here: &Path, text: &str) {
    std::fs::write(here.join("promptfed.toml"), text).unwrap();
}

/// The error object that a failing command prints, and its exit code.
fn error(here: &Path, args: &[&str]) -> (i32, Value, String) {
    let assert = promptfed(here, args).assert().failure();
    let output = assert.get_output();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    schema::check("error", &told);
    let for_people = String::from_utf8(output.stderr.clone()).unwrap();
    (
        output.status.code().unwrap(),
        told["error"].clone(),
        for_people,
    )
}

#[test]
fn a_flag_before_the_command_leaves_the_file_its_say() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    settings(here, "[synth]\nimages-per-prompt = 3\nsteps = 1\n");
    let count = |args: &[&str]| json(&mut promptfed(here, args))["report"]["planned"].clone();
    let synth = |out| ["synth", "--prompt", "a dog", "--out", out];
    assert_eq!(
        count(&[&["--precision", "f32"][..], &synth("a")].concat()),
        3
    );
    assert_eq!(count(&[&["--no-config"][..], &synth("b")].concat()), 1);
    let given = ["--images-per-prompt", "2"];
    assert_eq!(count(&[&synth("c")[..], &given].concat()), 2);
}

#[test]
fn errors_are_objects_for_programs_and_lines_for_people() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let (code, told, line) = error(here, &["extract", "absent", "--json"]);
    assert_eq!((code, &told["exit_code"]), (3, &Value::from(3)));
    assert_eq!(told["kind"], "input");
    let message = told["message"].as_str().unwrap();
    assert!(
        message.contains("absent") && line.contains(message),
        "{line}"
    );
    let (code, told, line) = error(here, &[&ONE[..], &["--steps", "many"]].concat());
    assert_eq!((code, &told["exit_code"]), (2, &Value::from(2)));
    assert_eq!(told["kind"], "usage");
    assert!(told["message"].as_str().unwrap().contains("many") && line.contains("many"));
    settings(here, "[synth]\n\nsteps = \"many\"\n");
    let (code, _, line) = error(here, &ONE);
    assert!(
        code == 2 && line.contains("--steps stands in promptfed.toml, line 3"),
        "{line}"
    );
    settings(here, "[synth]\nstepz = 3\n");
    let (code, told, _) = error(here, &ONE);
    let message = told["message"].as_str().unwrap();
    assert!(
        code == 3 && message.contains("promptfed.toml, line 2"),
        "{message}"
    );
    // Help is no error.
    promptfed(here, &["synth", "--help", "--json"])
        .assert()
        .success();
}

#[test]
fn shells_and_manuals_know_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let printed = |args: &[&str]| {
        let assert = promptfed(here, args).assert().success();
        String::from_utf8(assert.get_output().stdout.clone()).unwrap()
    };
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(&["completions", shell]);
        assert!(
            script.contains("images-per-prompt") && script.contains("predict"),
            "{shell}"
        );
    }
    let page = printed(&["man"]);
    assert!(page.contains(".TH") && page.contains("compare"), "{page}");
    printed(&["man", "--out", "pages"]);
    let page = std::fs::read_to_string(here.join("pages/promptfed-synth.1")).unwrap();
    assert!(
        page.contains("contact") || page.contains("manifest"),
        "{page}"
    );
}

/// What commands print is checked wherever a test reads it; these are read by no other.
#[test]
fn small_commands_print_what_their_schemas_say() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for args in [
        &["methods"][..],
        &["completions", "bash"],
        &["man"],
        &["man", "--out", "pages"],
        &["label-space", "list"],
        &["label-space", "show", "imagenette"],
        &["schema"],
        &["schema", "synth"],
    ] {
        json(&mut promptfed(here, args));
    }
}

#[test]
fn a_schema_is_found_by_its_command() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let printed = |args: &[&str]| {
        let assert = promptfed(here, args).assert().success();
        String::from_utf8(assert.get_output().stdout.clone()).unwrap()
    };
    let names = printed(&["schema"]);
    let names: Vec<&str> = names.lines().collect();
    assert!(
        names.contains(&"round open") && names.contains(&"error"),
        "{names:?}"
    );
    let status: Value = serde_json::from_str(&printed(&["schema", "round", "status"])).unwrap();
    // As the server's own document describes it.
    assert!(status["$defs"]["RoundState"].is_object(), "{status}");
    assert_eq!(status["title"], "promptfed round status --json");
    let (code, told, _) = error(here, &["schema", "paint", "--json"]);
    let message = told["message"].as_str().unwrap();
    assert!(
        code == 3 && message.contains("label-space from"),
        "{message}"
    );
}

#[test]
fn numbers_have_the_digits_that_they_need() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let picture = image::RgbImage::from_fn(16, 16, |x, y| {
        image::Rgb([(x * 16) as u8, (y * 16) as u8, 7])
    });
    for class in ["cat", "dog"] {
        let class = here.join("data").join(class);
        std::fs::create_dir_all(&class).unwrap();
        for name in ["a.png", "b.png", "c.png"] {
            picture.save(class.join(name)).unwrap();
        }
    }
    let train = [
        "train",
        "data",
        "--layout",
        "class-folders",
        "--epochs",
        "2",
        "--width",
        "8",
        "--learning-rate",
        "0.1",
    ];
    let assert = promptfed(here, &train)
        .args(["--image-size", "16", "--batch-size", "3", "--json"])
        .assert()
        .success();
    let printed = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    assert!(printed.contains("\"learning_rate\":0.1,"), "{printed}");
    let trained: Value = serde_json::from_str(&printed).unwrap();
    let epochs: Vec<&Value> = trained["curve"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| &step["epoch"])
        .collect();
    assert_eq!(epochs, [1, 2]);
    assert_eq!(trained["selected_epoch"], 2);
    // Checked as it is read.
    let named = json(&mut promptfed(
        here,
        &["predict", "model.safetensors", "data/cat", "--top", "2"],
    ));
    assert_eq!(named["predictions"].as_array().unwrap().len(), 3);
}
