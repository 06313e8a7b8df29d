//! The program as people run it: the real binary, the bundled drawings, real files and sockets.

use crate::support::server::Server;
use crate::support::{assets, enrolled, failure, json, promptfed};
use promptfed::data::Fit;
use promptfed::learn::Classifier;
use serde_json::Value;

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
    let who = &enrolled(here, &json(&mut run(&["client", "add", "hospital-a"])));
    assert_eq!(json(&mut run(&["round", "open"]))["state"], "open");
    json(
        promptfed(here, &[])
            .arg("extract")
            .arg(assets().join("emoji/private.parquet")),
    );
    let sent = json(&mut run(&["submit", "--round", "1", "--credentials", who]));
    assert_eq!(sent["answer"]["outcome"], "stored");
    assert!(sent["bytes_up"].as_u64().unwrap() > 200);
    let status = json(&mut run(&[
        "round",
        "status",
        "1",
        "--wait",
        "--credentials",
        who,
    ]));
    assert_eq!(status["state"], "done");
    let fetch = ["round", "model", "1", "--credentials", who];
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
    let spec = ["round", "spec", "1", "--credentials", who];
    let (code, told) = failure(&mut run(&spec));
    assert!(code == 3 && told.contains("--force"), "{code} {told}");

    std::fs::write(here.join("wrong.token"), "pfc-1-wrong\n").unwrap();
    let wrong = ["round", "status", "1", "--token-file", "wrong.token"];
    let (code, told) = failure(&mut run(&wrong));
    assert!(code == 4 && told.contains("--credentials"), "{code} {told}");
    let again = json(&mut run(&["submit", "--round", "1", "--credentials", who]));
    assert_eq!(again["answer"]["outcome"], "duplicate");
    assert_eq!(again["answer"]["receipt"], sent["answer"]["receipt"]);
    json(
        promptfed(here, &[])
            .arg("extract")
            .arg(assets().join("emoji/private.parquet"))
            .args(["--level", "domain", "--out", "other.json"]),
    );
    let late = ["submit", "other.json", "--round", "1", "--credentials", who];
    let (code, told) = failure(&mut run(&late));
    assert!(code == 4 && told.contains("round"), "{code} {told}");
}

#[test]
fn a_client_keeps_a_receipt_and_takes_its_prompts_back() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let server = Server::start(here, &[]);
    let run = |args: &[&str]| {
        let mut command = promptfed(here, args);
        command.args(["--server", &server.url]);
        command
    };
    let who = &enrolled(here, &json(&mut run(&["client", "add", "hospital-a"])));
    json(&mut run(&["round", "open", "emoji"]));
    json(
        promptfed(here, &["extract", "--label-space", "emoji"])
            .arg(assets().join("emoji/private.parquet")),
    );
    let submit = ["submit", "--round", "1", "--credentials", who];
    let sent = json(&mut run(&submit));
    let file = sent["receipt_file"].as_str().unwrap();
    assert_eq!(file, "prompts.round-1.receipt.json");
    let kept = json(&mut promptfed(here, &["receipt", file]));
    assert_eq!(kept["receipt"]["receipt"], sent["answer"]["receipt"]);
    assert_eq!(kept["receipt"]["server"], server.url);
    assert_eq!(kept["held"], Value::Null);
    let check = ["receipt", file, "--check", "--credentials", who];
    assert_eq!(json(&mut run(&check))["held"], true);
    let (code, told) = failure(&mut promptfed(
        here,
        &["receipt", file, "--credentials", who],
    ));
    assert!(code == 3 && told.contains("--check"), "{code} {told}");
    let (code, told) = failure(&mut run(&["receipt", file, "--check"]));
    assert!(
        code == 3 && told.contains("PROMPTFED_TOKEN"),
        "{code} {told}"
    );

    let withdraw = ["withdraw", "--round", "1", "--credentials", who];
    let withdrawn = json(&mut run(&withdraw));
    assert_eq!(withdrawn["receipt"], sent["answer"]["receipt"]);
    assert_eq!(json(&mut run(&withdraw)).get("receipt"), None);
    let (code, told) = failure(&mut run(&check));
    assert!(
        code == 4 && told.contains("submitted nothing"),
        "{code} {told}"
    );
    let less = ["extract", "--label-space", "emoji", "--max-prompts", "3"];
    json(
        promptfed(here, &less)
            .args(["--out", "less.json"])
            .arg(assets().join("emoji/private.parquet")),
    );
    let submit_less = ["submit", "less.json", "--round", "1", "--credentials", who];
    let other = json(&mut run(&submit_less));
    assert_eq!(other["answer"]["outcome"], "stored");
    let (code, told) = failure(&mut run(&check));
    assert!(
        code == 4 && told.contains("holds another submission"),
        "{code} {told}"
    );
    // Nothing but an earlier receipt is replaced, and nothing is sent then.
    let (code, told) = failure(run(&submit).args(["--receipt", "less.json"]));
    assert!(code == 3 && told.contains("--receipt"), "{code} {told}");
    let held = json(&mut run(&[
        "receipt",
        "less.round-1.receipt.json",
        "--check",
        "--credentials",
        who,
    ]));
    assert_eq!(held["held"], true);
}

#[test]
fn an_operator_looks_after_rounds_and_copies_them() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let server = Server::start(here, &["--log-format", "json"]);
    let run = |args: &[&str]| {
        let mut command = promptfed(here, &[]);
        command.args(args).args(["--server", &server.url]);
        command
    };
    let told = |args: &[&str]| {
        let assert = run(args).assert().success();
        String::from_utf8(assert.get_output().stdout.clone()).unwrap()
    };
    std::fs::write(here.join("names.txt"), "hospital-a\n\nhospital-b\n").unwrap();
    let added = json(&mut run(&["client", "add", "--from", "names.txt"]));
    assert_eq!(added[1]["name"], "hospital-b");
    let known = ["client", "add", "new", "hospital-b", "hospital-a"];
    let (code, error) = failure(&mut run(&known));
    assert!(
        code == 4 && error.contains("\"hospital-b\", \"hospital-a\""),
        "{code} {error}"
    );
    assert!(error.contains("client rotate"), "{error}");
    let who = &enrolled(here, &added[0]);
    json(&mut run(&[
        "round",
        "open",
        "emoji",
        "--max-per-client",
        "9",
    ]));

    let show = ["round", "show", "1", "--credentials", who];
    let plan = json(&mut run(&show));
    assert_eq!(plan["prompts"]["max_per_client"], 9);
    let shown = told(&show);
    assert!(
        shown.contains("level class") && shown.contains("at most 9 of each client"),
        "{shown}"
    );
    json(
        promptfed(here, &["extract", "--label-space", "emoji"])
            .arg(assets().join("emoji/private.parquet")),
    );
    let admin_file = ["--admin-token-file", "promptfed-server/admin.token"];
    json(run(&["round", "spec", "1"]).args(admin_file));
    let many = ["extract", "--round", "round.json", "--out", "many.json"];
    let extracted = promptfed(here, &many)
        .arg(assets().join("emoji/private.parquet"))
        .assert()
        .success();
    let warned = String::from_utf8_lossy(&extracted.get_output().stderr).into_owned();
    assert!(warned.contains("--max-prompts 9"), "{warned}");
    let submit = ["submit", "--round", "1", "--credentials", who];
    let (code, error) = failure(&mut run(&submit));
    assert!(
        code == 4 && error.contains("takes 9 of each client"),
        "{error}"
    );
    json(
        promptfed(
            here,
            &["extract", "--label-space", "emoji", "--max-prompts", "9"],
        )
        .arg(assets().join("emoji/private.parquet")),
    );
    json(&mut run(&submit));
    let members = json(&mut run(&["round", "submissions", "1"]));
    assert_eq!(members[0]["submission"]["prompts"], 9);
    let members = told(&["round", "submissions", "1"]);
    assert!(
        members.contains("not yet") && members.contains("1 of 2 clients"),
        "{members}"
    );
    let events = json(&mut run(&["round", "log", "1"]));
    assert!(!events.as_array().unwrap().is_empty());
    let log = told(&["round", "log", "1"]);
    assert!(log.contains("client 1 submitted: 9 prompts"), "{log}");

    let copied = json(&mut promptfed(here, &["backup", "copy"]));
    assert!(copied["files"].as_u64().unwrap() >= 2);
    let restored = json(&mut promptfed(
        here,
        &["restore", "copy", "--data-dir", "again"],
    ));
    assert_eq!(restored, copied);
    let (code, error) = failure(&mut promptfed(here, &["backup", "copy"]));
    assert!(code == 3 && error.contains("already"), "{code} {error}");

    let excluded = json(&mut run(&["round", "exclude", "1", "hospital-a"]));
    assert_eq!(excluded["submissions"], 0);
    let (code, error) = failure(&mut run(&submit));
    assert!(code == 4 && error.contains("excluded"), "{code} {error}");
    json(&mut run(&["round", "exclude", "1", "hospital-a", "--undo"]));
    json(&mut run(&submit));
    let (code, error) = failure(&mut run(&["round", "delete", "1"]));
    assert!(code == 3 && error.contains("--force"), "{code} {error}");
    let deleted = json(&mut run(&["round", "delete", "1", "--force"]));
    assert_eq!(deleted["submissions"], 1);
    let (code, error) = failure(&mut run(&["client", "revoke", "nobody"]));
    assert!(code == 3 && error.contains("nobody"), "{code} {error}");
    json(&mut run(&["client", "revoke", "hospital-b"]));
    let clients = json(&mut run(&["client", "list"]));
    assert!(clients[1]["revoked_at"].is_u64(), "{clients}");
    #[cfg(unix)]
    {
        let admin = std::fs::read(here.join("promptfed-server/admin.token")).unwrap();
        let from_pipe = ["client", "list", "--admin-token-file", "/dev/stdin"];
        assert_eq!(json(run(&from_pipe).write_stdin(admin)), clients);
    }
    let clients = told(&["client", "list"]);
    assert!(
        clients.contains("revoked") && clients.contains("works"),
        "{clients}"
    );
    let rotated = json(&mut run(&["client", "rotate", "hospital-b"]));
    assert_eq!(rotated["name"], "hospital-b");
    let again = ["round", "list", "--credentials", &enrolled(here, &rotated)];
    json(&mut run(&again));
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
    let who = &enrolled(here, &json(&mut run(&["client", "add", "site"])));
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
            "--credentials",
            who,
        ];
        json(&mut run(&extract));
        json(&mut run(&[
            "submit",
            "--round",
            round,
            "--credentials",
            who,
        ]));
        json(&mut run(&[
            "round",
            "status",
            round,
            "--wait",
            "--credentials",
            who,
        ]));
    }
    let results = |round: &str| json(&mut run(&["round", "results", round, "--credentials", who]));
    let (first, second) = (results("1"), results("2"));
    let warnings = first["warnings"].to_string();
    assert!(
        warnings.contains("the negative text of 10 of 10 prompts has no effect"),
        "{warnings}"
    );
    assert_eq!(second["warnings"], Value::Array(Vec::new()));
    let sampling = &second["sources"][0]["sampling"];
    assert_eq!(sampling["guidance"]["fixed"].to_string(), "2.2");

    json(&mut run(&["round", "model", "1", "--credentials", who]));
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
        (&["evaluate", "absent", "empty"], 3, "absent does not exist"),
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
                "--server",
                "http://127.0.0.1:1",
            ],
            3,
            "--steps is out of range",
        ),
        (
            &[
                "round",
                "list",
                "--token-file",
                "classes.toml",
                "--server",
                "nowhere",
            ],
            3,
            "server address",
        ),
        (&["round", "open", "numbers.toml"], 3, "prompt_name"),
        (
            &["extract", "empty", "--label-space", "classes.toml"],
            3,
            "[[classes]]",
        ),
        (
            &["submit", "absent", "--round", "1"],
            3,
            "absent does not exist",
        ),
    ];
    for (args, code, part) in cases {
        let (found, told) = failure(promptfed(here, &[]).args(*args));
        assert_eq!(found, *code, "{args:?}: {told}");
        assert!(told.contains(part), "{args:?}: {told}");
    }
}

/// Whatever the command, the same fault has the same exit code.
#[test]
fn one_kind_of_failure_has_one_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let write = |name: &str, text: &str| std::fs::write(here.join(name), text).unwrap();
    write("broken.json", "{\"format\"");
    write("classless.jsonl", "{\"prompt\": \"a dog\"}\n");
    write(
        "unknown.jsonl",
        "{\"class\": \"fox\", \"prompt\": \"a fox\"}\n",
    );
    write("unknown.csv", "prompt,class\na fox,fox\n");
    write("columns.csv", "prompt,speed\na fox,3\n");
    write("grid.toml", "[[data]]\nname = 3\n");
    write("noise.safetensors", "no weights");
    write("token", "0123456789abcdef");
    write("file", "in the way");
    std::fs::create_dir_all(here.join("photos/cat")).unwrap();
    write("photos/cat/broken.png", "no picture");
    // Nobody listens there.
    let nobody = ["--server", "http://127.0.0.1:1"];
    let synth = |prompts| ["synth", "--prompts", prompts, "--out", "o"];
    let with_classes = |prompts| [&synth(prompts)[..], &["--label-space", "emoji"]].concat();
    let to_nobody = |args: &[&'static str]| [args, &nobody].concat();
    let cases: Vec<(Vec<&str>, i32)> = vec![
        // Missing.
        (synth("absent.json").to_vec(), 3),
        (synth("absent.txt").to_vec(), 3),
        (synth("absent.csv").to_vec(), 3),
        (with_classes("absent.jsonl"), 3),
        (vec!["write", "absent.json", "--out", "w.jsonl"], 3),
        (vec!["train", "absent"], 3),
        (vec!["evaluate", "absent.safetensors", "photos"], 3),
        (vec!["predict", "absent.safetensors", "photos"], 3),
        (vec!["export", "absent", "--out", "e"], 3),
        (vec!["fuse", "absent", "--out", "f", "--keep", "3"], 3),
        (vec!["feedback", "photos", "--models", "absent"], 3),
        (vec!["quality", "absent", "absent"], 3),
        (vec!["partition", "absent", "--partition", "iid:2"], 3),
        (vec!["compare", "absent.toml"], 3),
        (vec!["label-space", "from", "absent"], 3),
        (vec!["submit", "absent", "--round", "1"], 3),
        (vec!["client", "list", "--admin-token-file", "absent"], 3),
        (vec!["client", "list", "--admin-token-file", "photos"], 3),
        (vec!["client", "list"], 3),
        (vec!["round", "list"], 3),
        (vec!["round", "list", "--credentials", "absent"], 3),
        (vec!["enrol", "absent"], 3),
        (vec!["enrol", "token"], 3),
        (vec!["--config", "absent.toml", "methods"], 3),
        // Not what it should be.
        (synth("broken.json").to_vec(), 3),
        (with_classes("classless.jsonl"), 3),
        (synth("unknown.jsonl").to_vec(), 3),
        (synth("columns.csv").to_vec(), 3),
        (vec!["write", "broken.json", "--out", "w.jsonl"], 3),
        (vec!["compare", "grid.toml"], 3),
        (vec!["evaluate", "noise.safetensors", "photos"], 3),
        (vec!["predict", "noise.safetensors", "photos"], 3),
        (vec!["train", "photos", "--layout", "class-folders"], 3),
        // Unknown classes, and other names.
        (with_classes("unknown.jsonl"), 3),
        (with_classes("unknown.csv"), 3),
        (vec!["label-space", "show", "nowhere"], 3),
        (vec!["extract", "photos", "--templates", "nowhere"], 3),
        (
            vec!["synth", "--prompt", "x", "--out", "o", "--engine", "dream"],
            3,
        ),
        (vec!["schema", "paint"], 3),
        // A flag that nothing reads.
        (
            [
                &["compare", "--private", "photos", "--test", "photos"][..],
                &["--methods", "fgl:level=class,fedavg", "--level", "domain"],
            ]
            .concat(),
            3,
        ),
        // A server out of reach.
        (
            to_nobody(&["client", "add", "site", "--admin-token-file", "token"]),
            4,
        ),
        (to_nobody(&["round", "list", "--token-file", "token"]), 4),
        // No place for the result.
        (
            vec!["label-space", "from", "photos", "--out", "file/below"],
            1,
        ),
        (vec!["extract", "photos", "--out", "file/below"], 1),
        (vec!["train", "photos", "--out", "file/below"], 1),
        (vec!["write", "broken.json", "--out", "file/below.jsonl"], 1),
        // A wrong command line.
        (vec!["synth", "--speed"], 2),
        (vec!["train"], 2),
        (vec!["round", "open", "emoji", "--epochs", "many"], 2),
        (vec!["paint"], 2),
    ];
    for (args, code) in cases {
        let (found, told) = failure(&mut promptfed(here, &args));
        assert_eq!(found, code, "{args:?}: {told}");
    }
}

#[test]
fn tokens_cross_to_other_machines_over_tls_alone() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let server = Server::start(here, &["--data-dir", "data", "--tls", "self-signed"]);
    assert!(server.url.starts_with("https://"), "{}", server.url);
    let fingerprint = std::fs::read_to_string(here.join("data/tls/fingerprint")).unwrap();
    let add = [
        "client",
        "add",
        "site",
        "--server",
        &server.url,
        "--admin-token-file",
        "data/admin.token",
    ];
    let (code, told) = failure(&mut promptfed(here, &add));
    assert_eq!(code, 4, "{told}");
    assert!(told.contains("--server-fingerprint"), "{told}");
    let pinned = ["--server-fingerprint", fingerprint.trim()];
    let added = json(promptfed(here, &add).args(pinned));
    assert_eq!(added["name"], "site");
    // What was enrolled with is known by the fingerprint, and that alone is not.
    let who = &enrolled(here, &added);
    let by_credentials = ["round", "list", "--credentials", who];
    json(&mut promptfed(here, &by_credentials));
    let credentials = std::fs::read(here.join(who)).unwrap();
    let credentials: Value = serde_json::from_slice(&credentials).unwrap();
    assert_eq!(credentials["fingerprint"], fingerprint.trim());
    let token = credentials["token"].as_str().unwrap();
    std::fs::write(here.join("site.token"), token).unwrap();
    let list = [
        "round",
        "list",
        "--server",
        &server.url,
        "--token-file",
        "site.token",
    ];
    let certificate = here.join("data/tls/cert.pem");
    json(promptfed(here, &list).env("SSL_CERT_FILE", &certificate));
    json(promptfed(here, &list).arg("--ca-file").arg(&certificate));
    // A flag wins over what is exported, and what is exported is not passed over.
    let fingerprint = "PROMPTFED_SERVER_FINGERPRINT";
    let other = "0".repeat(64);
    let mut of_file = promptfed(here, &list);
    json(
        of_file
            .env(fingerprint, &other)
            .arg("--ca-file")
            .arg(&certificate),
    );
    for (asked, expected) in [(&list[..], 4), (&by_credentials[..], 3)] {
        let (code, told) = failure(promptfed(here, asked).env(fingerprint, &other));
        assert_eq!(code, expected, "{told}");
        assert!(told.contains(&other), "{told}");
    }
    let (code, told) = failure(promptfed(here, &list).env("SSL_CERT_FILE", "none.pem"));
    assert_eq!(code, 3, "{told}");
    for part in ["SSL_CERT_FILE", "none.pem"] {
        assert!(told.contains(part), "{told}");
    }

    let elsewhere = ["--server", "http://192.0.2.1:7878"];
    // Nor to another server than its own.
    let (code, told) = failure(promptfed(here, &by_credentials).args(elsewhere));
    assert!(code == 3 && told.contains(&server.url), "{code} {told}");
    let elsewhere = [&elsewhere[..], &["--token-file", "site.token"]].concat();
    let (code, told) = failure(promptfed(here, &["round", "list"]).args(elsewhere));
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("--allow-plain-http"), "{told}");
    let open = ["serve", "--addr", "0.0.0.0:0", "--data-dir", "open"];
    let (code, told) = failure(&mut promptfed(here, &open));
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("--tls self-signed"), "{told}");
    assert!(!here.join("open").exists());
}
