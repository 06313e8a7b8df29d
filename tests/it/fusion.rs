//! Fusing sets as people do it: the real binary, the bundled generators.

use crate::support::{assets, failure, json, promptfed};
use serde_json::Value;
use std::path::Path;

/// Two sets of emoji in `sets/`, one step each, of the generators `all` and `draw`.
fn sets(here: &Path) {
    let private = assets().join("emoji/private.parquet");
    json(promptfed(here, &[]).arg("extract").arg(&private).args([
        "--label-space",
        "emoji",
        "--level",
        "domain",
    ]));
    for model in ["all", "draw"] {
        json(promptfed(here, &[]).args([
            "synth",
            "--prompts",
            "prompts.json",
            "--engine",
            &format!("pocket:{model}"),
            "--out",
            &format!("sets/{model}"),
            "--images",
            "140",
            "--steps",
            "1",
        ]));
    }
}

fn fuse(here: &Path, out: &str, flags: &[&str]) -> Value {
    json(
        promptfed(here, &[])
            .args(["fuse", "sets/all", "sets/draw", "--out", out])
            .args(flags),
    )
}

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn sets_are_fused_trained_on_tested_and_exported() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    sets(here);
    let told = fuse(
        here,
        "fused",
        &[
            "--select",
            "influence+cartography",
            "--keep",
            "140",
            "--quotas",
            "transfer",
            "--adjust-weights",
            "2",
            "--signals",
            "--task-epochs",
            "4",
            "--task-width",
            "8",
        ],
    );
    assert_eq!(
        (
            told["report"]["made"].as_u64(),
            told["report"]["chosen"].as_u64()
        ),
        (Some(280), Some(140))
    );
    assert!(told["seconds"]["training task models"].as_f64().unwrap() > 0.0);
    let rows = lines(&here.join("fused/fused.jsonl"));
    assert_eq!(rows.len(), 140);
    for row in &rows {
        assert!(["all", "draw"].contains(&row["backend"].as_str().unwrap()));
        let numbers = ["confidence", "variability", "influence", "weight"];
        assert!(numbers.iter().all(|n| row[n].is_number()), "{row}");
    }
    let page = std::fs::read_to_string(here.join("fused/report.html")).unwrap();
    assert!(page.contains("least useful") && page.matches("data:image/png").count() > 50);
    assert!(!page.contains("src=\"http") && !page.contains("<script"));

    let trained =
        json(promptfed(here, &[]).args(["train", "fused", "--epochs", "2", "--width", "8"]));
    assert_eq!(
        (trained["weighted"].as_bool(), trained["images"].as_u64()),
        (Some(true), Some(140))
    );
    assert_eq!(trained["soft_labels"], false);

    let soft = ["--select", "random", "--keep", "70", "--soft-labels"];
    let quick = ["0.5", "--task-epochs", "2", "--task-width", "8"];
    fuse(here, "soft", &[&soft[..], &quick].concat());
    for row in lines(&here.join("soft/fused.jsonl")) {
        let targets = row["targets"].as_array().unwrap();
        let targets: Vec<f64> = targets.iter().map(|p| p.as_f64().unwrap()).collect();
        let own = targets[row["class"].as_u64().unwrap() as usize];
        assert!(
            (targets.iter().sum::<f64>() - 1.0).abs() < 1e-5 && own >= 0.5 - 1e-6,
            "{row}"
        );
    }
    let args = [
        "train",
        "soft",
        "--epochs",
        "1",
        "--width",
        "8",
        "--out",
        "soft.safetensors",
    ];
    let softly = json(promptfed(here, &[]).args(args));
    assert_eq!(
        (
            softly["soft_labels"].as_bool(),
            softly["weighted"].as_bool()
        ),
        (Some(true), Some(false))
    );
    let (code, told) = failure(
        promptfed(here, &["fuse", "sets/all", "sets/draw", "--out", "x"])
            .args([&soft[..], &["1.5"]].concat()),
    );
    assert!(code == 3 && told.contains("at most 1"), "{code} {told}");
    let test = assets().join("emoji/test.parquet");
    let tested = json(
        promptfed(here, &[])
            .args(["evaluate", "model.safetensors"])
            .arg(&test),
    );
    assert_eq!(tested["images"], 437);
    // A fused set is data like any other.
    let tested = json(promptfed(here, &[]).args(["evaluate", "model.safetensors", "fused"]));
    assert_eq!(tested["images"], 140);

    for (format, out) in [("folder", "as folder"), ("parquet", "as parquet")] {
        let told =
            json(promptfed(here, &[]).args(["export", "fused", "--format", format, "--out", out]));
        assert_eq!(told["export"]["images"], 140);
        let flags: &[&str] = match format {
            "folder" => &["--layout", "domain-folders"],
            _ => &[],
        };
        let read = json(
            promptfed(here, &[])
                .args([
                    "evaluate",
                    "model.safetensors",
                    out,
                    "--label-space",
                    "emoji",
                ])
                .args(flags),
        );
        assert_eq!(read["images"], 140, "{format}");
        // In another order, sums over images differ by rounding.
        for measure in ["accuracy", "macro_f1", "confusion", "per_domain"] {
            let (read, tested) = (&read["evaluation"][measure], &tested["evaluation"][measure]);
            assert_eq!(read, tested, "{format}: {measure}");
        }
    }

    // A fused set does not hold images: without its jobs it is nothing.
    std::fs::rename(here.join("sets/draw"), here.join("sets/gone")).unwrap();
    let (code, told) = failure(promptfed(here, &[]).args(["train", "fused"]));
    assert_eq!(code, 3);
    assert!(
        told.contains("is not there") && told.contains("fuse again"),
        "{told}"
    );
}

#[test]
fn clients_answers_decide_the_quotas() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    sets(here);
    let small = ["--task-epochs", "4", "--task-width", "8"];
    let flags = [&["--select", "easy", "--keep", "140"][..], &small].concat();
    fuse(here, "fused", &flags);
    let private = assets().join("emoji/private.parquet");
    let scored = json(promptfed(here, &[]).arg("feedback").arg(&private).args([
        "--models",
        "fused/task-models",
        "--out",
        "scores.json",
    ]));
    let cells = scored["feedback"]["cells"].as_array().unwrap();
    let images: f64 = cells.iter().map(|cell| cell["all"].as_f64().unwrap()).sum();
    // Two backends look at every image.
    assert_eq!(images, 2.0 * 989.0);
    assert_eq!(cells.len(), 2 * 7 * 10);
    let file = std::fs::read(here.join("scores.json")).unwrap();
    assert_eq!(scored["bytes"].as_u64(), Some(file.len() as u64));
    // Twice the same client is as if each had half as many images.
    let flags = [
        "--keep",
        "100",
        "--quotas",
        "feedback",
        "--feedback",
        "scores.json",
    ];
    let one = fuse(here, "one", &flags);
    assert_eq!(one["feedback_bytes"].as_u64(), Some(file.len() as u64));
    assert_eq!(one["report"]["quotas"].as_array().unwrap().len(), 140);
    let two = fuse(
        here,
        "two",
        &[&flags[..], &["--feedback", "scores.json"]].concat(),
    );
    assert_eq!(two["feedback_bytes"].as_u64(), Some(2 * file.len() as u64));

    let noisy = |seed: &[&str]| {
        let mut command = promptfed(here, &["feedback"]);
        let models = ["--models", "fused/task-models", "--out", "noisy.json"];
        command
            .arg(&private)
            .args(models)
            .args(["--noise", "laplace:2"]);
        json(command.args(seed))["feedback"].clone()
    };
    let one = noisy(&["--noise-seed", "5"]);
    assert_eq!(one, noisy(&["--noise-seed", "5"]));
    assert_ne!(one["cells"], noisy(&[])["cells"]);
    // Both counts of 2 backends, 7 domains and 10 classes; scale 4 / 2.
    let told = &one["noise"][0];
    assert_eq!(
        (told["numbers"].as_u64(), told["sensitivity"].as_f64()),
        (Some(280), Some(4.0))
    );
    assert!((told["deviation"].as_f64().unwrap() - 8f64.sqrt()).abs() < 1e-9);
    let moved = one["cells"].as_array().unwrap().iter().zip(cells);
    assert!(moved.filter(|(a, b)| a["right"] != b["right"]).count() > 130);
    let file = std::fs::read_to_string(here.join("noisy.json")).unwrap();
    assert!(!file.contains("seed"), "{file}");
    let with = [
        "--keep",
        "100",
        "--quotas",
        "feedback",
        "--feedback",
        "noisy.json",
    ];
    let dealt = fuse(here, "noisy", &with);
    assert_eq!(dealt["report"]["chosen"], 100);
    let mut wrong = promptfed(here, &["feedback"]);
    wrong
        .arg(&private)
        .args(["--models", "fused/task-models", "--noise", "gaussian:0"]);
    let (code, told) = failure(&mut wrong);
    assert!(code == 2 && told.contains("above 0"), "{code} {told}");

    let shown = promptfed(here, &[])
        .arg("feedback")
        .arg(assets().join("emoji/test.parquet"))
        .args([
            "--sets",
            "sets/all",
            "sets/draw",
            "--neighbours",
            "3",
            "--out",
            "votes.json",
        ])
        .assert()
        .success();
    let shown = String::from_utf8(shown.get_output().stdout.clone()).unwrap();
    assert!(shown.contains("Nothing was sent"), "{shown}");
    let votes: Value =
        serde_json::from_slice(&std::fs::read(here.join("votes.json")).unwrap()).unwrap();
    let sum: f64 = votes["cells"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["right"].as_f64().unwrap())
        .sum();
    // Each of 437 images casts 1 + 1/2 + 1/4, where its class and domain has three candidates or more.
    assert!(
        (0.9 * 437.0 * 1.75..=437.0 * 1.75 + 1e-6).contains(&sum),
        "{sum}"
    );
    let voted = fuse(
        here,
        "voted",
        &[
            "--keep",
            "100",
            "--quotas",
            "feedback",
            "--feedback",
            "votes.json",
        ],
    );
    assert_eq!(voted["report"]["chosen"], 100);

    let mixed = promptfed(here, &[])
        .args([
            "fuse",
            "sets/all",
            "sets/draw",
            "--out",
            "mixed",
            "--keep",
            "9",
            "--quotas",
            "feedback",
        ])
        .args(["--feedback", "votes.json", "--feedback", "scores.json"])
        .assert()
        .failure();
    assert_eq!(mixed.get_output().status.code(), Some(3));
}

#[test]
fn what_has_no_effect_or_cannot_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    sets(here);
    let refused = |flags: &[&str], code: i32, part: &str| {
        let mut command = promptfed(here, &[]);
        command
            .args(["fuse", "sets/all", "sets/draw", "--out", "out"])
            .args(flags);
        let told = failure(&mut command);
        assert_eq!(told.0, code, "{flags:?}: {}", told.1);
        assert!(told.1.contains(part), "{flags:?}: {}", told.1);
        assert!(!here.join("out").exists(), "{flags:?}");
    };
    refused(&["--select", "best"], 2, "there are all, random");
    refused(&[], 3, "how many");
    refused(
        &["--keep", "5", "--task-width", "8"],
        3,
        "where no network is trained",
    );
    refused(&["--select", "all", "--keep", "5"], 3, "keeps everything");
    refused(
        &["--keep", "5", "--floor", "0.5"],
        3,
        "--floor has no effect without --quotas",
    );
    refused(
        &["--keep", "5", "--quotas", "feedback"],
        3,
        "need the clients' feedback",
    );
    refused(
        &["--keep", "5", "--quotas", "transfer", "--temperature", "0"],
        3,
        "above 0",
    );
    refused(
        &[
            "--keep",
            "5",
            "--quotas",
            "feedback",
            "--feedback",
            "prompts.json",
        ],
        3,
        "not a client's feedback",
    );
    let (code, told) = failure(promptfed(here, &[]).args([
        "fuse",
        "sets/nothing",
        "--out",
        "out",
        "--select",
        "all",
    ]));
    assert_eq!(code, 3);
    assert!(told.contains("not the folder of a synthesis job"), "{told}");
    let (code, told) = failure(promptfed(here, &[]).args(["export", "sets/all", "--out", "out"]));
    assert_eq!(code, 3);
    assert!(told.contains("not the folder of a fused set"), "{told}");
}

#[test]
fn several_engines_are_fused_by_one_command_also_in_rounds() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let private = assets().join("emoji/private.parquet");
    json(promptfed(here, &[]).arg("extract").arg(&private).args([
        "--label-space",
        "emoji",
        "--level",
        "domain",
    ]));
    let synth = |out: &str, flags: &[&str]| {
        let engines = [
            "--engine",
            "pocket:all",
            "--engine",
            "pocket:photo",
            "--engine",
            "pocket:draw",
        ];
        let mut command = promptfed(here, &[]);
        command
            .args([
                "synth",
                "--prompts",
                "prompts.json",
                "--out",
                out,
                "--steps",
                "1",
            ])
            .args(engines)
            .args(["--images", "420"])
            .args(flags);
        command
    };
    let small = ["--task-epochs", "4", "--task-width", "8"];
    let flags = [
        &["--fuse", "--keep", "140", "--quotas", "transfer"][..],
        &small,
    ]
    .concat();
    let told = json(&mut synth("once", &flags));
    assert_eq!(told["accepted"], 420);
    assert_eq!(told["fused"]["report"]["chosen"], 140);
    let names: Vec<&str> = told["fused"]["report"]["backends"]
        .as_array()
        .unwrap()
        .iter()
        .map(|backend| backend["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["pocket", "pocket:draw", "pocket:photo"]);
    let trained =
        json(promptfed(here, &[]).args(["train", "once/fused", "--epochs", "1", "--width", "8"]));
    assert_eq!(trained["images"], 140);
    // The same sets by the other command.
    let again = json(
        promptfed(here, &[])
            .args(["fuse", "once", "--out", "again"])
            .args(&flags[1..]),
    );
    assert_eq!(again["report"], told["fused"]["report"]);
    // A folder is the same one through a link, before and after it is made.
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(here, here.join("link")).unwrap();
        let linked = || {
            let mut command = promptfed(here, &["fuse", "once", "--out", "link/linked"]);
            json(command.args(&flags[1..]))["report"].clone()
        };
        assert_eq!(linked(), again["report"]);
        assert_eq!(linked(), again["report"]);
    }

    let (code, told) = failure(&mut synth(
        "uneven",
        &["--fuse", "--keep", "140", "--rounds", "3", "--limit", "1"],
    ));
    assert_eq!(code, 3);
    assert!(told.contains("--limit is for one engine"), "{told}");
    let (code, told) = failure(&mut synth(
        "uneven",
        &["--fuse", "--keep", "140", "--rounds", "8"],
    ));
    assert_eq!(code, 3);
    assert!(
        told.contains("cannot be shared evenly by 8 rounds"),
        "{told}"
    );

    let rounds = [
        &["--fuse", "influence", "--keep", "140", "--rounds", "2"][..],
        &small,
    ]
    .concat();
    let told = json(&mut synth("rounds", &rounds));
    let quotas = told["quotas"].as_array().unwrap();
    assert_eq!(quotas.len(), 2);
    assert_eq!(told["fused"]["report"]["made"], 420);
    let sum = |round: &Value| -> u64 {
        round
            .as_array()
            .unwrap()
            .iter()
            .map(|q| q["images"].as_u64().unwrap())
            .sum()
    };
    assert!(quotas.iter().all(|round| sum(round) == 210));
    // Done is done, and the rounds are sets like others.
    assert_eq!(json(&mut synth("rounds", &rounds)), told);
    let all = json(promptfed(here, &[]).args([
        "fuse",
        "rounds",
        "--select",
        "all",
        "--out",
        "everything",
    ]));
    assert_eq!(all["report"]["chosen"], 420);

    let writes = [
        "--fuse", "--keep", "70", "--rounds", "2", "--writer", "grammar",
    ];
    let writes = [&writes[..], &["--per-prompt", "2"], &small].concat();
    let told = json(&mut synth("written", &writes));
    let written = told["written"].as_array().unwrap();
    assert_eq!(written.len(), 2);
    assert!(
        written
            .iter()
            .all(|round| round["written"].as_u64() > Some(0))
    );
    let page = std::fs::read_to_string(here.join("written/fused/report.html")).unwrap();
    assert!(page.contains("prompts written") && page.contains("Refused, since it"));
    let lines = lines(&here.join("written/round-1/written.jsonl"));
    let first = lines[0]["prompt"].as_str().unwrap();
    assert!(first.contains(','), "{first}");
    let alone = ["--fuse", "--keep", "70", "--writer", "grammar"];
    let (code, told) = failure(&mut synth("idle", &alone));
    assert!(code == 3 && told.contains("without --rounds 2"), "{told}");

    let (code, told) = failure(&mut synth("idle", &small));
    assert!(
        code == 3 && told.contains("--task-epochs, --task-width have no effect without --fuse"),
        "{told}"
    );
    let (code, told) = failure(promptfed(here, &[]).args([
        "synth",
        "--prompts",
        "prompts.json",
        "--out",
        "one",
        "--fuse",
        "--keep",
        "5",
    ]));
    assert!(code == 3 && told.contains("several engines"), "{told}");
}
