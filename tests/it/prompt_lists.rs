//! `synth` from the lists that people keep, and what it leaves for other programs.

use crate::support::{failure, json, promptfed};
use serde_json::Value;
use std::path::Path;

fn synth(here: &Path, prompts: &str, out: &str, more: &[&str]) -> Value {
    let args = ["synth", "--prompts", prompts, "--out", out, "--steps", "2"];
    json(&mut promptfed(here, &[&args[..], more].concat()))
}

fn rows(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_prompt_on_each_line() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    std::fs::write(
        here.join("List.TXT"),
        "\u{feff}a photo of a dog\r\n\r\na sketch of a horse\r\n",
    )
    .unwrap();
    let told = synth(here, "List.TXT", "out", &["--images-per-prompt", "2"]);
    assert_eq!(told["report"]["accepted"], 4);
    let manifest = rows(&here.join("out/manifest.jsonl"));
    let texts: Vec<&str> = manifest
        .iter()
        .map(|r| r["prompt"].as_str().unwrap())
        .collect();
    assert_eq!(texts[0], "a photo of a dog");
    assert!(texts.contains(&"a sketch of a horse"));
    assert!(manifest.iter().all(|row| row["class_name"] == "image"));
    std::fs::write(here.join("empty.txt"), "\n\n").unwrap();
    let args = ["synth", "--prompts", "empty.txt", "--out", "none"];
    let (_, told) = failure(&mut promptfed(here, &args));
    assert!(told.contains("prompt"), "{told}");
}

#[test]
fn a_table_with_classes() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    std::fs::write(
        here.join("list.csv"),
        "class,prompt,negative\nhorse,\"a horse, running\",blurry\ndog,a photo of a dog,\n",
    )
    .unwrap();
    synth(here, "list.csv", "out", &["--images-per-prompt", "3"]);
    let images = here.join("out/images");
    let metadata = rows(&images.join("metadata.jsonl"));
    assert_eq!(metadata.len(), 6);
    for row in &metadata {
        assert!(
            images.join(row["file_name"].as_str().unwrap()).is_file(),
            "{row}"
        );
        let file = row["file_name"].as_str().unwrap();
        let of_horse = file.starts_with("horse/");
        assert_eq!(row["text"] == "a horse, running", of_horse);
    }
    // Two classes of three images of 32 px, with 4 px between them.
    let sheet = image::open(here.join("out/contact-sheet.png")).unwrap();
    assert_eq!((sheet.width(), sheet.height()), (3 * 36 + 4, 2 * 36 + 4));
    let first = image::open(images.join(metadata[0]["file_name"].as_str().unwrap()));
    let row = u32::from(metadata[0]["text"] == "a horse, running");
    let (first, sheet) = (first.unwrap().into_rgb8(), sheet.into_rgb8());
    assert_eq!(
        first.get_pixel(5, 7),
        sheet.get_pixel(4 + 5, 4 + 36 * row + 7)
    );
    // Another program's list, by its own names of the classes.
    let args = ["--label-space", "pacs"];
    let other = synth(here, "list.csv", "pacs", &args);
    assert_eq!(other["report"]["accepted"], 2);
    std::fs::write(
        here.join("bad.csv"),
        "prompt,class\na dog,dog\na cat, sitting,cat\n",
    )
    .unwrap();
    let args = ["synth", "--prompts", "bad.csv", "--out", "bad"];
    let (code, told) = failure(&mut promptfed(here, &args));
    assert!(
        code == 3 && told.contains("bad.csv") && told.contains('3'),
        "{code} {told}"
    );
}

#[test]
fn a_drawn_seed_is_told_and_makes_the_same_again() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    std::fs::write(here.join("list.txt"), "a photo of a dog\n").unwrap();
    // A record would tell the seeds apart where the pixels do not.
    let drawn = synth(here, "list.txt", "one", &["--seed", "-1", "--no-record"]);
    let other = synth(here, "list.txt", "other", &["--seed", "-1", "--no-record"]);
    let seed = drawn["seed"].as_u64().unwrap().to_string();
    assert_ne!(drawn["seed"], other["seed"]);
    synth(here, "list.txt", "again", &["--seed", &seed, "--no-record"]);
    let image =
        |out: &str| std::fs::read(here.join(out).join("images/image/00000000.png")).unwrap();
    assert_eq!(image("one"), image("again"));
    assert_ne!(image("one"), image("other"));
}

#[test]
fn weights_of_words_are_told_to_be_plain_text() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let lines = "a (red:1.3) dog\na [blue] horse, {green}\na dog at (12:30)\n";
    std::fs::write(here.join("list.txt"), lines).unwrap();
    let told = |args: &[&str]| {
        let assert = promptfed(here, args).assert();
        String::from_utf8(assert.get_output().stderr.clone()).unwrap()
    };
    let synth = [
        "synth",
        "--prompts",
        "list.txt",
        "--out",
        "out",
        "--steps",
        "1",
    ];
    for args in [&synth[..], &["write", "list.txt", "--out", "w.jsonl"]] {
        let warned = told(args);
        assert_eq!(warned.matches("plain text").count(), 1, "{warned}");
        assert!(
            warned.contains("1 of 3 prompts have weights as \"(red:1.3)\""),
            "{warned}"
        );
    }
}
