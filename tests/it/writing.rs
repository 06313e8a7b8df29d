//! `promptfed write` as people run it, from private pictures to synthetic ones.

use crate::support::language_model::LanguageModel;
use crate::support::{assets, failure, json, promptfed};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Releases the emoji drawings as prompts of a level.
fn extract(folder: &Path, level: &str) {
    let data = assets().join("emoji/private.parquet");
    let mut command = promptfed(
        folder,
        &["extract", data.to_str().unwrap(), "--label-space", "emoji"],
    );
    command
        .args(["--level", level, "--counts"])
        .assert()
        .success();
}

#[test]
fn what_clients_released_becomes_many_prompts_and_then_images() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    extract(here, "domain");
    let written = json(&mut promptfed(
        here,
        &[
            "write",
            "prompts.json",
            "--per-prompt",
            "3",
            "--seed",
            "5",
            "--out",
            "written.jsonl",
        ],
    ));
    let record = &written["record"];
    let topics = 10 * 7;
    assert_eq!(record["wanted"], 3 * topics);
    assert_eq!(record["written"], 3 * topics, "{record}");
    assert_eq!(
        (&record["writer"]["name"], &record["seed"]),
        (&Value::from("grammar"), &Value::from(5))
    );
    assert!(
        record["writer"]["settings"]["phrases_left_out"]
            .as_str()
            .unwrap()
            .parse::<u32>()
            .unwrap()
            > 20
    );
    let file: Value = serde_json::from_str(
        &std::fs::read_to_string(here.join("written.jsonl.record.json")).unwrap(),
    )
    .unwrap();
    assert_eq!(&file, record);

    let lines = lines(&here.join("written.jsonl"));
    assert_eq!(lines.len(), 3 * topics);
    let known = std::fs::read_to_string(assets().join("pocket/all/words.txt")).unwrap();
    let known: Vec<&str> = known.split_whitespace().collect();
    for line in &lines {
        let (class, prompt) = (
            line["class"].as_str().unwrap(),
            line["prompt"].as_str().unwrap(),
        );
        assert!(prompt.contains(class), "{line}");
        // The template's words, and then some that the generator was shown.
        let (_, detail) = prompt.split_once(class).unwrap();
        assert!(detail.starts_with(", "), "{line}");
        for word in detail.split([',', ' ']).filter(|word| word.len() > 1) {
            let stem = word.trim_end_matches('s');
            let is_known = [word, stem].iter().any(|w| known.contains(w));
            assert!(
                is_known || ["at", "from", "them"].contains(&word),
                "{word} of {prompt}"
            );
        }
    }
    let images: u64 = lines
        .iter()
        .map(|line| line["count"].as_u64().unwrap())
        .sum();
    assert_eq!(images, 989);

    let synth = [
        "synth",
        "--prompts",
        "written.jsonl",
        "--label-space",
        "emoji",
        "--steps",
        "1",
        "--out",
        "images",
    ];
    let made = json(&mut promptfed(here, &synth));
    assert_eq!(made["report"]["accepted"], 3 * topics);
    assert_eq!(made["report"]["cut"], 0);
    let unknown = &made["unknown_words"]["texts"];
    let unknown: Vec<&str> = unknown
        .as_array()
        .unwrap()
        .iter()
        .map(|w| w.as_str().unwrap())
        .collect();
    assert!(
        unknown.iter().all(|word| !lines.iter().any(|line| {
            let prompt = line["prompt"].as_str().unwrap();
            prompt
                .split_once(line["class"].as_str().unwrap())
                .unwrap()
                .1
                .contains(word)
        })),
        "{unknown:?}"
    );

    // The same again, byte for byte; with another seed, others.
    let bytes = std::fs::read(here.join("written.jsonl")).unwrap();
    let again = |seed: &str, out: &str| {
        promptfed(
            here,
            &[
                "write",
                "prompts.json",
                "--per-prompt",
                "3",
                "--seed",
                seed,
                "--out",
                out,
            ],
        )
        .assert()
        .success();
        std::fs::read(here.join(out)).unwrap()
    };
    assert_eq!(again("5", "again.jsonl"), bytes);
    assert_ne!(again("6", "other.jsonl"), bytes);
}

#[test]
fn captions_stay_with_the_checks() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    extract(here, "instance");
    let args = [
        "write",
        "prompts.json",
        "--per-prompt",
        "1",
        "--engine",
        "none",
        "--out",
        "w.jsonl",
    ];
    let written = json(&mut promptfed(here, &args));
    assert!(written["record"]["captions"].as_u64().unwrap() > 100);
    let released: Value =
        serde_json::from_str(&std::fs::read_to_string(here.join("prompts.json")).unwrap()).unwrap();
    let captions: Vec<&str> = released["prompts"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|prompt| prompt["caption"].as_str())
        .filter(|caption| caption.split(' ').count() > 3)
        .collect();
    assert!(captions.len() > 100);
    for line in lines(&here.join("w.jsonl")) {
        let prompt = line["prompt"].as_str().unwrap();
        assert!(
            captions.iter().all(|caption| !prompt.contains(caption)),
            "{prompt}"
        );
    }
}

#[test]
fn refusals_are_told_in_words_and_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let classes = "name = \"two\"\n[[classes]]\nname = \"dog\"\n[[classes]]\nname = \"garden\"\n";
    std::fs::write(here.join("two.toml"), classes).unwrap();
    let prompts = "{\"class\": \"dog\", \"prompt\": \"a photo of a dog\", \"negative\": \"blurry\"}\n{\"class\": \"garden\", \"prompt\": \"a garden\"}\n";
    std::fs::write(here.join("in.jsonl"), prompts).unwrap();
    let grammar = "name = \"g\"\n[start]\nany = [\"{place}\"]\n[rules]\nplace = [\"in a garden\", \"in the garden\", \"in the snow\", \"in the rain\"]\n";
    std::fs::write(here.join("g.toml"), grammar).unwrap();
    let args = [
        "write",
        "in.jsonl",
        "--label-space",
        "two.toml",
        "--writer",
        "grammar:g.toml",
        "--engine",
        "none",
        "--per-prompt",
        "4",
        "--out",
        "w.jsonl",
    ];
    let told = promptfed(here, &args).assert().success();
    let told = String::from_utf8(told.get_output().stdout.clone()).unwrap();
    for part in [
        "6 of 8 prompts in w.jsonl",
        "2 refused, since each names another class",
        "(garden)",
        "fewer than asked for: \"a photo of a dog\" 2 of 4",
        "w.jsonl.record.json",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let dogs: Vec<Value> = lines(&here.join("w.jsonl"))
        .into_iter()
        .filter(|l| l["class"] == "dog")
        .collect();
    assert_eq!(dogs[0]["negative"], "blurry");
    assert!(dogs[0].get("count").is_none());

    // Nothing good is replaced unasked.
    let (code, told) = failure(&mut promptfed(here, &args));
    assert_eq!(code, 3);
    assert!(told.contains("--force"), "{told}");
    let mut forced = promptfed(here, &args);
    forced.arg("--force");
    let written = json(&mut forced);
    assert_eq!(written["record"]["refused"]["other-class"]["count"], 2);

    // A class of which nothing can be said is a failure that says so.
    std::fs::write(
        here.join("g.toml"),
        grammar
            .replace("in the snow", "in one garden")
            .replace("in the rain", "in my garden"),
    )
    .unwrap();
    let (code, told) = failure(promptfed(here, &args).arg("--force"));
    assert_eq!(code, 1);
    assert!(told.contains("no prompt was written for dog"), "{told}");
}

#[test]
fn mistakes_are_answered_with_what_would_do() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    std::fs::write(
        here.join("in.jsonl"),
        "{\"class\": \"mammal\", \"prompt\": \"a mammal\"}\n",
    )
    .unwrap();
    std::fs::write(
        here.join("bad.toml"),
        "name = \"x\"\n[start]\nany = [\"{y}\"]\n[rules]\n",
    )
    .unwrap();
    std::fs::write(here.join("page.gguf"), "<html>").unwrap();
    let write = |more: &[&str]| {
        let args = ["write", "in.jsonl", "--label-space", "emoji"];
        let mut command = promptfed(here, &args);
        if !more.contains(&"--out") {
            command.args(["--out", "w.jsonl"]);
        }
        command.args(more);
        failure(&mut command)
    };
    #[cfg(unix)]
    {
        let made = std::process::Command::new("mkfifo")
            .arg(here.join("pipe"))
            .status()
            .unwrap();
        assert!(made.success());
        for writer in ["grammar:pipe", "gguf:pipe"] {
            let (code, told) = write(&["--writer", writer]);
            assert_eq!(code, 3, "{told}");
            assert!(told.contains("a named pipe"), "{told}");
        }
    }
    std::fs::write(here.join("latin.toml"), b"name = \"caf\xe9\"").unwrap();
    let unfinished = here.join("w.jsonl.unfinished");
    std::fs::write(&unfinished, "a shopping list\n").unwrap();
    let (code, told) = write(&["--writer", "chat:http://127.0.0.1:9/v1#m"]);
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("w.jsonl.unfinished"), "{told}");
    std::fs::remove_file(unfinished).unwrap();
    for (more, wanted, part) in [
        (
            &["--writer", "grammar:latin.toml"] as &[&str],
            3,
            "not UTF-8",
        ),
        (&["--writer", "llm"], 2, "there are grammar"),
        (&["--writer", "gguf"], 2, "gguf:FILE"),
        (&["--engine", "sd"], 3, "sd:"),
        (
            &["--engine", "remote:http://127.0.0.1:9/v1"],
            3,
            "give none",
        ),
        (&["--writer", "grammar:bad.toml"], 3, "no rule `y`"),
        (&["--writer", "gguf:page.gguf"], 3, "no GGUF file"),
        (&["--writer", "chat:localhost"], 3, "http://"),
        (
            &["--writer", "chat:http://127.0.0.1:9/v1#m", "--timeout", "3"],
            4,
            "no connection",
        ),
        (&["--temperature", "1"], 3, "no effect with a grammar"),
        (
            &["--writer", "gguf:page.gguf", "--key-env", "K"],
            3,
            "no effect with a model",
        ),
        (&["--precision", "bf16"], 3, "--precision has no effect"),
        (&["--out", "w.txt"], 3, ".jsonl"),
        (
            &["--out", "in.jsonl", "--force"],
            3,
            "whose prompts are read",
        ),
        (&["--per-prompt", "0"], 3, "1 or more"),
    ] {
        let (code, told) = write(more);
        assert_eq!(code, wanted, "{more:?}: {told}");
        assert!(told.contains(part), "{more:?}: {told}");
    }
    assert!(!here.join("w.jsonl").exists());
}

#[test]
fn a_killed_run_with_a_language_model_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    extract(here, "domain");
    let arguments = |url: &str, out: &str| {
        let writer = format!("chat:{url}#model");
        let args = [
            "write",
            "prompts.json",
            "--per-prompt",
            "2",
            "--engine",
            "none",
            "--writer",
        ];
        let mut all: Vec<String> = args.map(str::to_owned).into();
        all.extend([writer, "--out".to_owned(), out.to_owned()]);
        all
    };
    let whole = LanguageModel::start(usize::MAX);
    let all = arguments(&whole.url, "whole.jsonl");
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let record = json(&mut promptfed(here, &all))["record"].clone();
    assert_eq!(record["written"], 140);
    assert_eq!(record["writer"]["reproducible"], "seeded");
    assert!(
        record["refused"]["other-class"]["count"].as_u64().unwrap() > 0,
        "{record}"
    );
    let questions = whole.answered();

    // The server falls silent, and the run that waits for it is killed.
    let stalls = LanguageModel::start(11);
    let unfinished = here.join("killed.jsonl.unfinished");
    let mut run = std::process::Command::new(env!("CARGO_BIN_EXE_promptfed"))
        .current_dir(here)
        .args(arguments(&stalls.url, "killed.jsonl"))
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let steps = || std::fs::read_to_string(&unfinished).map_or(0, |text| text.lines().count());
    while steps() < 12 && begun.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_millis(20));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    assert_eq!(steps(), 12, "settings and a line for every answer");
    assert!(!here.join("killed.jsonl").exists());

    // Another service is another writer, unless it stands at the same address.
    let goes_on = LanguageModel::start(usize::MAX);
    let args = arguments(&goes_on.url, "killed.jsonl");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (code, told) = failure(&mut promptfed(here, &args));
    assert_eq!(code, 3);
    assert!(told.contains("another writer"), "{told}");
    let text = std::fs::read_to_string(&unfinished).unwrap();
    std::fs::write(&unfinished, text.replace(&stalls.url, &goes_on.url)).unwrap();
    promptfed(here, &args).assert().success();
    assert_eq!(goes_on.answered() + 11, questions);
    let read = |name: &str| std::fs::read_to_string(here.join(name)).unwrap();
    assert_eq!(read("killed.jsonl"), read("whole.jsonl"));
    assert!(!unfinished.exists());
}
