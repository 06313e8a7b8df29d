//! The program as people run it: the real binary, the bundled drawings, real files and sockets.
#![allow(clippy::unwrap_used)]

#[path = "support/server.rs"]
mod server;
mod support;

use promptfed::data::Fit;
use promptfed::learn::Classifier;
use serde_json::Value;
use server::Server;
use support::{assets, failure, json, promptfed};

#[test]
fn each_step_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let private = assets().join("emoji/private.parquet");

    let extracted = json(promptfed(here, &[]).arg("extract").arg(&private).args([
        "--label-space",
        "emoji",
        "--level",
        "domain",
    ]));
    assert_eq!(extracted["images"], 989);
    assert_eq!(extracted["prompts"], 70);
    let shown = promptfed(here, &[])
        .arg("extract")
        .arg(&private)
        .args([
            "--label-space",
            "emoji",
            "--level",
            "domain",
            "--out",
            "again.json",
        ])
        .assert()
        .success();
    let shown = String::from_utf8(shown.get_output().stdout.clone()).unwrap();
    assert!(
        shown.contains("style emoji of a building") && shown.contains("Nothing was sent"),
        "{shown}"
    );
    let files = ["prompts.json", "again.json"].map(|f| std::fs::read(here.join(f)).unwrap());
    assert_eq!(files[0], files[1]);

    let synth = |out: &str, batch: &str| {
        json(&mut promptfed(
            here,
            &[
                "synth",
                "--prompts",
                "prompts.json",
                "--out",
                out,
                "--steps",
                "1",
                "--limit",
                "20",
                "--batch",
                batch,
            ],
        ))
    };
    assert_eq!(synth("synthetic", "20")["report"]["accepted"], 20);
    synth("other", "7");
    let rows = |out: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(here.join(out).join("manifest.jsonl")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let (one, other) = (rows("synthetic"), rows("other"));
    assert_eq!(one.len(), 20);
    for (a, b) in one.iter().zip(&other) {
        assert_eq!(a, b, "an image depends on its batch");
        assert_eq!(a["steps"], 1);
    }
    assert_eq!(synth("synthetic", "20")["report"]["resumed"], 20);

    let trained = json(promptfed(here, &[]).arg("train").arg(&private).args([
        "--label-space",
        "emoji",
        "--epochs",
        "1",
        "--width",
        "8",
    ]));
    assert_eq!(trained["curve"].as_array().unwrap().len(), 1);
    let tested = json(
        promptfed(here, &["evaluate", "model.safetensors"])
            .arg(assets().join("emoji/test.parquet"))
            .args(["--label-space", "emoji"]),
    );
    assert_eq!(tested["images"], 437);
    let accuracy = tested["evaluation"]["accuracy"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&accuracy));

    let dealt = json(promptfed(here, &[]).arg("partition").arg(&private).args([
        "--partition",
        "dirichlet:4:0.3",
        "--seed",
        "5",
    ]));
    let sizes: Vec<usize> = dealt["clients"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c.as_array().unwrap().len())
        .collect();
    assert_eq!((sizes.len(), sizes.iter().sum::<usize>()), (4, 989));
    assert_eq!(dealt["names"][3], "client-3");
}

#[test]
fn a_round_over_http() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    std::fs::write(
        here.join("promptfed.toml"),
        "[extract]\nlabel-space = \"emoji\"\nlevel = \"class\"\n\
         [round.open]\nlabel-space = \"emoji\"\nsteps = 1\nepochs = 1\nwidth = 8\nexpected-clients = 1\n",
    )
    .unwrap();
    let server = Server::start(here, &[]);
    let run = |args: &[&str]| {
        let mut command = promptfed(here, &[]);
        command.args(args).args(["--server", &server.url]);
        command
    };
    let registration = json(&mut run(&["register", "hospital-a"]));
    let token = registration["token"].as_str().unwrap();
    assert_eq!(json(&mut run(&["round", "open"]))["state"], "open");
    json(
        promptfed(here, &[])
            .arg("extract")
            .arg(assets().join("emoji/private.parquet")),
    );
    let sent = json(&mut run(&["submit", "--round", "1", "--token", token]));
    assert_eq!(sent["answer"]["outcome"], "stored");
    assert!(sent["bytes_up"].as_u64().unwrap() > 200);
    let status = json(&mut run(&[
        "round", "status", "1", "--wait", "--token", token,
    ]));
    assert_eq!(status["state"], "done");
    let fetch = ["round", "model", "1", "--token", token];
    let model = json(&mut run(&fetch));
    let file = std::fs::read(here.join("model.safetensors")).unwrap();
    assert_eq!(model["bytes"].as_u64().unwrap(), file.len() as u64);
    // The same once more is no loss; another file stays unless it is given up.
    json(&mut run(&fetch));
    json(&mut run(
        &[&fetch[..], &["--out", "new/folder/model"]].concat()
    ));
    assert_eq!(std::fs::read(here.join("new/folder/model")).unwrap(), file);
    std::fs::write(here.join("model.safetensors"), "mine").unwrap();
    let (code, told) = failure(&mut run(&fetch));
    assert!(code == 3 && told.contains("--force"), "{code} {told}");
    assert_eq!(
        std::fs::read(here.join("model.safetensors")).unwrap(),
        b"mine"
    );
    json(run(&fetch).arg("--force"));
    assert_eq!(std::fs::read(here.join("model.safetensors")).unwrap(), file);
    std::fs::write(here.join("round.json"), "mine").unwrap();
    let spec = ["round", "spec", "1", "--token", token];
    let (code, told) = failure(&mut run(&spec));
    assert!(code == 3 && told.contains("--force"), "{code} {told}");

    let (code, told) = failure(&mut run(&["round", "status", "1", "--token", "wrong"]));
    assert_eq!(code, 4, "{told}");
    let again = json(&mut run(&["submit", "--round", "1", "--token", token]));
    assert_eq!(again["answer"]["outcome"], "duplicate");
    assert_eq!(again["answer"]["receipt"], sent["answer"]["receipt"]);
    json(
        promptfed(here, &[])
            .arg("extract")
            .arg(assets().join("emoji/private.parquet"))
            .args(["--level", "domain", "--out", "other.json"]),
    );
    let late = ["submit", "other.json", "--round", "1", "--token", token];
    let (code, told) = failure(&mut run(&late));
    assert!(code == 4 && told.contains("round"), "{code} {told}");
}

#[test]
fn a_round_keeps_to_its_recipe_and_tells_what_had_no_effect() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let templates = "name = \"n\"\n[[templates]]\nlevel = \"class\"\npositive = \"{label}\"\nnegative = \"blurry\"\n";
    std::fs::write(here.join("n.toml"), templates).unwrap();
    let server = Server::start(here, &[]);
    let run = |args: &[&str]| {
        let mut command = promptfed(here, args);
        command.args(["--server", &server.url]);
        command
    };
    let registration = json(&mut run(&["register", "site"]));
    let token = registration["token"].as_str().unwrap();
    let opened = |flags: &[&str]| {
        let open = [
            "round",
            "open",
            "emoji",
            "--steps",
            "1",
            "--epochs",
            "1",
            "--width",
            "8",
            "--expected-clients",
            "1",
            "--images-per-prompt",
            "2",
        ];
        json(run(&open).args(flags))
    };
    opened(&[
        "--templates",
        "n.toml",
        "--guidance",
        "1",
        "--no-flip",
        "--shift",
        "0.2",
        "--fit",
        "pad",
    ]);
    opened(&["--guidance", "2.2"]);
    let private = assets().join("emoji/private.parquet");
    for round in ["1", "2"] {
        let extract = [
            "extract",
            private.to_str().unwrap(),
            "--round",
            round,
            "--token",
            token,
        ];
        json(&mut run(&extract));
        json(&mut run(&["submit", "--round", round, "--token", token]));
        json(&mut run(&[
            "round", "status", round, "--wait", "--token", token,
        ]));
    }
    let results = |round: &str| json(&mut run(&["round", "results", round, "--token", token]));
    let (first, second) = (results("1"), results("2"));
    let warnings = first["warnings"].to_string();
    assert!(
        warnings.contains("the negative text of 10 of 10 prompts has no effect"),
        "{warnings}"
    );
    assert_eq!(second["warnings"], Value::Array(Vec::new()));
    let sampling = &second["sources"][0]["sampling"];
    assert_eq!(sampling["guidance"]["fixed"].to_string(), "2.2");

    json(&mut run(&["round", "model", "1", "--token", token]));
    let file = std::fs::read(here.join("model.safetensors")).unwrap();
    let model = Classifier::from_safetensors(&file).unwrap();
    let recipe = model.recipe().unwrap();
    assert_eq!(recipe.fit, Fit::Pad);
    let augmentation = recipe.training.augmentation;
    assert_eq!((augmentation.flip, augmentation.shift), (false, 0.2));
}

#[test]
fn mistakes_are_told_in_one_line_with_their_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    std::fs::write(here.join("broken.json"), "{").unwrap();
    std::fs::write(here.join("broken.toml"), "[synth]\nstepz = 3\n").unwrap();
    std::fs::create_dir(here.join("empty")).unwrap();
    std::fs::write(
        here.join("classes.toml"),
        "name = \"x\"\nclasses = [\"cat\"]\n",
    )
    .unwrap();
    let numbers = "name = \"x\"\nclasses = [{ name = \"0\" }, { name = \"1\" }]\n";
    std::fs::write(here.join("numbers.toml"), numbers).unwrap();
    let cases: &[(&[&str], i32, &str)] = &[
        (&["extract"], 2, "DATA"),
        (&["extract", "absent"], 3, "absent"),
        (&["extract", "empty"], 3, "empty"),
        (
            &["extract", "empty", "--label-space", "nowhere"],
            3,
            "nowhere",
        ),
        (
            &["synth", "--prompts", "broken.json", "--out", "o"],
            3,
            "broken.json",
        ),
        (
            &["synth", "--prompt", "x", "--out", "o", "--guidance", "many"],
            2,
            "many",
        ),
        (
            &[
                "--config",
                "broken.toml",
                "synth",
                "--prompt",
                "x",
                "--out",
                "o",
            ],
            3,
            "stepz",
        ),
        (&["train", "empty", "--device", "tpu"], 2, "tpu"),
        #[cfg(not(feature = "cuda"))]
        (
            &["train", "empty", "--device", "cuda"],
            3,
            "--features cuda",
        ),
        (&["evaluate", "absent", "empty"], 1, "absent"),
        (&["extract", "absent"], 3, "absent does not exist"),
        (
            &["train", "empty", "--precision", "f16"],
            3,
            "--precision f16 means bf16 here",
        ),
        // Nothing is sent, and nobody listens there.
        (
            &[
                "round",
                "open",
                "emoji",
                "--steps",
                "0",
                "--admin-token",
                "t",
                "--server",
                "http://127.0.0.1:1",
            ],
            3,
            "--steps is out of range",
        ),
        (
            &["round", "list", "--token", "t", "--server", "nowhere"],
            3,
            "server address",
        ),
        (
            &["round", "open", "numbers.toml", "--admin-token", "t"],
            3,
            "prompt_name",
        ),
        (
            &["extract", "empty", "--label-space", "classes.toml"],
            3,
            "[[classes]]",
        ),
        (
            &["submit", "absent", "--round", "1", "--token", "t"],
            1,
            "absent",
        ),
    ];
    for (args, code, part) in cases {
        let (found, told) = failure(promptfed(here, &[]).args(*args));
        assert_eq!(found, *code, "{args:?}: {told}");
        assert!(told.contains(part), "{args:?}: {told}");
    }
}
