//! Nothing good is destroyed, and nothing empty is success: what the program does to files and folders that are there.
#![allow(clippy::unwrap_used)]

mod support;

use assert_cmd::Command;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use support::{failure, json};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn program(folder: &Path) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_promptfed"));
    command
        .current_dir(folder)
        .env("PROMPTFED_ASSETS", root().join("assets"))
        .arg("--quiet");
    command
}

fn promptfed(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::from_std(program(folder));
    command.args(args);
    command
}

/// A job of two small images.
const SYNTH: [&str; 8] = [
    "synth",
    "--prompt",
    "a cat",
    "--steps",
    "1",
    "--images-per-prompt",
    "2",
    "--out",
];

fn synth(folder: &Path, out: &str, more: &[&str]) -> Command {
    let mut command = promptfed(folder, &SYNTH);
    command.arg(out).args(more);
    command
}

/// A comparison that takes no time: guessing on the bundled drawings.
fn compare(folder: &Path, out: &str, more: &[&str]) -> Command {
    let drawings = root().join("assets/emoji");
    let mut command = promptfed(folder, &["compare", "--label-space", "emoji"]);
    command
        .arg("--private")
        .arg(drawings.join("private.parquet"))
        .arg("--test")
        .arg(drawings.join("test.parquet"))
        .args(["--methods", "chance", "--seeds", "1", "--image-size", "16"])
        .args(["--out", out])
        .args(more);
    command
}

/// Two classes of a few coloured pictures.
fn pictures(folder: &Path) {
    for (class, shade) in [("cat", 30u8), ("dog", 200)] {
        let class = folder.join("photos").join(class);
        std::fs::create_dir_all(&class).unwrap();
        for i in 0..6u8 {
            image::RgbImage::from_fn(16, 16, |x, y| {
                image::Rgb([shade, x as u8 * 9 + i, y as u8 * 9])
            })
            .save(class.join(format!("{i}.png")))
            .unwrap();
        }
    }
}

const TRAIN: [&str; 6] = ["train", "photos", "--epochs", "1", "--width", "8"];

fn put(folder: &Path, files: &[&str]) {
    for name in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, name).unwrap();
    }
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                all.insert(path.clone(), std::fs::read(path).unwrap());
            }
        }
    }
    all
}

/// Runs a command whose shell lets no file grow.
fn on_a_full_disk(folder: &Path, args: &[&str]) -> (i32, String) {
    let mut command = Command::new("sh");
    command
        .current_dir(folder)
        .env("PROMPTFED_ASSETS", root().join("assets"))
        .args(["-c", "ulimit -f 0; exec \"$@\"", "sh"])
        .arg(env!("CARGO_BIN_EXE_promptfed"))
        .arg("--quiet")
        .args(args);
    failure(&mut command)
}

#[test]
fn synth_takes_no_folder_with_other_things_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let mine = here.join("mine");
    put(
        &mine,
        &["staging/photo.png", "partial", "images/image/00000000.png"],
    );
    let before = files(here);
    let (code, told) = failure(&mut synth(here, "mine", &[]));
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("choose another folder"), "{told}");
    assert_eq!(files(here), before);

    put(&here.join("hidden"), &[".DS_Store"]);
    json(&mut synth(here, "hidden", &[]));
    let left: Vec<_> = files(&here.join("hidden"))
        .into_keys()
        .map(|file| file.strip_prefix(here).unwrap().display().to_string())
        .collect();
    let expected = [
        ".DS_Store",
        "images/classes.tsv",
        "images/image/00000000.png",
        "images/image/00000001.png",
        "job.json",
        "manifest.jsonl",
    ];
    assert_eq!(left, expected.map(|file| format!("hidden/{file}")));
}

#[test]
fn settings_that_are_refused_do_not_block_the_corrected_ones() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let model = root().join("synth/tests/golden/sd/sd15");
    let engine = format!("sd:{}", model.display());
    let sd = ["--engine", &engine];
    for (more, part) in [
        (&["--height", "100"][..], "multiples of 8"),
        (&["--sampler", "heun"], "no sampler heun"),
    ] {
        let (code, told) = failure(synth(here, "out", &sd).args(more));
        assert_eq!(code, 3, "{told}");
        assert!(told.contains(part), "{told}");
        assert!(!here.join("out").exists(), "{told}");
    }
    json(synth(here, "out", &sd).args(["--height", "64"]));
    let (code, told) = failure(&mut synth(here, "drawn", &["--sampler", "unipc"]));
    assert!(code == 3 && !here.join("drawn").exists(), "{told}");
    json(&mut synth(here, "drawn", &["--sampler", "euler"]));
}

#[test]
fn a_job_goes_on_with_what_is_there_and_with_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let f32 = ["--precision", "f32"];
    json(&mut synth(here, "out", &f32));
    let before = files(&here.join("out"));
    // Deleted and truncated pictures are made again.
    let picture = |i: u8| here.join(format!("out/images/image/0000000{i}.png"));
    std::fs::remove_file(picture(0)).unwrap();
    std::fs::write(picture(1), &before[&picture(1)][..20]).unwrap();
    let report = json(&mut synth(here, "out", &f32));
    assert_eq!(report["report"]["mended"], 2);
    assert_eq!(files(&here.join("out")), before);
    // Another number format makes other pictures.
    let (code, told) = failure(&mut synth(here, "out", &["--precision", "bf16"]));
    assert_eq!(code, 3, "{told}");
    assert!(
        told.contains("precision (\"f32\", asked for \"bf16\")"),
        "{told}"
    );
    // More images are more of the same job.
    let report = json(
        promptfed(here, &["synth", "--prompt", "a cat", "--steps", "1"]).args([
            "--images-per-prompt",
            "3",
            "--out",
            "out",
            "--precision",
            "f32",
        ]),
    );
    assert_eq!(report["report"]["resumed"], 2);
    assert_eq!(report["report"]["accepted"], 3);
    // Without its job file nobody knows what the images are.
    std::fs::remove_file(here.join("out/job.json")).unwrap();
    let before = files(&here.join("out"));
    let (_, told) = failure(&mut synth(here, "out", &["--seed", "7"]));
    assert!(told.contains("job.json: missing"), "{told}");
    assert_eq!(files(&here.join("out")), before);
}

#[test]
fn an_adapter_that_breaks_every_image_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let golden = root().join("synth/tests/golden/sd");
    let model = golden.join("sd15");
    let adapter = format!("{}:1e30", golden.join("lora/peft.safetensors").display());
    let (code, told) = failure(&mut synth(
        folder.path(),
        "out",
        &[
            "--engine",
            &format!("sd:{}", model.display()),
            "--lora",
            &adapter,
        ],
    ));
    assert_eq!(code, 1, "{told}");
    assert!(
        told.contains("no image was accepted of 2") && told.contains("leave out the adapter"),
        "{told}"
    );
}

#[test]
fn images_that_all_miss_their_class_are_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let clip = root().join("vision/tests/golden/clip");
    std::fs::write(
        here.join("prompts.jsonl"),
        "{\"class\":\"mammal\",\"prompt\":\"a cat\"}\n{\"class\":\"vehicle\",\"prompt\":\"a bus\"}\n",
    )
    .unwrap();
    let args = [
        "synth",
        "--prompts",
        "prompts.jsonl",
        "--label-space",
        "emoji",
        "--steps",
        "1",
        "--out",
        "out",
        "--min-score",
        "1",
        "--filter-clip",
    ];
    let (code, told) = failure(promptfed(here, &args).arg(clip));
    assert_eq!(code, 1, "{told}");
    assert!(
        told.contains("no image") && told.contains("lower the least score"),
        "{told}"
    );
}

#[test]
fn a_report_is_never_replaced_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    json(&mut compare(here, "out", &[]));
    let before = files(&here.join("out"));
    assert!(before.contains_key(&here.join("out/report.html")));
    let (code, told) = failure(&mut compare(here, "out", &["--seed", "3"]));
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("--force"), "{told}");
    assert_eq!(files(&here.join("out")), before);
    json(&mut compare(here, "out", &["--seed", "3", "--force"]));
    let after = files(&here.join("out"));
    assert_ne!(
        after[&here.join("out/report.json")],
        before[&here.join("out/report.json")]
    );
}

#[test]
fn two_comparisons_do_not_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    std::fs::create_dir_all(here.join("out/.promptfed")).unwrap();
    let lock = std::fs::File::create(here.join("out/.promptfed/comparison.lock")).unwrap();
    lock.try_lock().unwrap();
    let (code, told) = failure(&mut compare(here, "out", &[]));
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("another run works in this folder"), "{told}");
    drop(lock);
    json(&mut compare(here, "out", &[]));
}

#[test]
fn a_comparison_takes_no_folder_with_other_things_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for (out, name) in [
        ("a", "server/server.lock"),
        ("b", "report.html"),
        ("c", "job.json"),
    ] {
        put(&here.join(out), &[name]);
        let before = files(&here.join(out));
        let (code, told) = failure(&mut compare(here, out, &["--force"]));
        assert_eq!(code, 3, "{told}");
        assert_eq!(files(&here.join(out)), before);
    }
}

struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(folder: &Path, data_dir: &str) -> Self {
        let mut child = program(folder)
            .args([
                "serve",
                "--addr",
                "127.0.0.1:0",
                "--json",
                "--data-dir",
                data_dir,
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let url = ready["url"].as_str().unwrap().to_owned();
        Self { child, url }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_folder_of_a_running_server_stays() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let server = Server::start(here, "x/server");
    let (code, told) = failure(&mut compare(here, "x", &["--force"]));
    assert_eq!(code, 3, "{told}");
    let (code, told) = failure(&mut compare(here, "x/server", &["--force"]));
    assert_eq!(code, 3, "{told}");
    let (code, told) = failure(&mut synth(here, "x/server", &[]));
    assert_eq!(code, 3, "{told}");
    let registered = json(&mut promptfed(
        here,
        &[
            "register",
            "a",
            "--server",
            &server.url,
            "--admin-token-file",
            "x/server/admin.token",
        ],
    ));
    assert_eq!(registered["name"], "a");
}

#[test]
fn a_server_takes_no_folder_with_other_things_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    put(&here.join("photos"), &["a.png", "rounds/1"]);
    let before = files(here);
    let args = ["serve", "--addr", "127.0.0.1:0", "--data-dir", "photos"];
    let (code, told) = failure(&mut promptfed(here, &args));
    assert_eq!(code, 3, "{told}");
    assert!(
        told.contains("is not the data folder of a server"),
        "{told}"
    );
    assert_eq!(files(here), before);
}

#[test]
fn a_full_disk_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    pictures(here);
    json(&mut promptfed(here, &TRAIN));
    json(&mut promptfed(here, &["extract", "photos"]));
    json(&mut compare(here, "out", &[]));
    json(&mut synth(here, "job", &["--limit", "1"]));
    let before = files(here);
    let drawings = root().join("assets/emoji");
    let (private, test) = (
        drawings.join("private.parquet"),
        drawings.join("test.parquet"),
    );
    let compare = [
        "compare",
        "--label-space",
        "emoji",
        "--private",
        private.to_str().unwrap(),
        "--test",
        test.to_str().unwrap(),
        "--methods",
        "chance",
        "--seeds",
        "1",
        "--image-size",
        "16",
        "--seed",
        "3",
        "--out",
        "out",
        "--force",
    ];
    let extract = ["extract", "photos", "--counts"];
    for args in [
        &[&TRAIN[..], &["--seed", "3"]].concat()[..],
        &extract,
        &compare,
    ] {
        let (code, told) = on_a_full_disk(here, args);
        assert_eq!(code, 1, "{args:?}: {told}");
        assert!(
            told.to_lowercase().contains("file too large"),
            "{args:?}: {told}"
        );
        assert_eq!(files(here), before, "{args:?}");
    }
    let (code, _) = on_a_full_disk(here, &[&SYNTH[..], &["job"]].concat());
    assert_eq!(code, 1);
    for (file, bytes) in before.iter().filter(|(file, _)| file.ends_with(".png")) {
        assert_eq!(std::fs::read(file).unwrap(), *bytes);
    }
    assert_eq!(json(&mut synth(here, "job", &[]))["report"]["accepted"], 2);
}

#[test]
fn where_a_result_goes_is_proven_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    pictures(here);
    put(here, &["file"]);
    for args in [&TRAIN[..], &["extract", "photos"]] {
        // The data would be an error too, and takes longer to find out.
        let absent = [&[args[0], "absent"], &args[2..]].concat();
        let (code, told) = failure(promptfed(here, &absent).args(["--out", "file/below"]));
        assert!(code == 1 && told.contains("file"), "{code} {told}");
        assert!(!told.contains("absent"), "{told}");
        let (_, told) = failure(promptfed(here, args).args(["--out", "photos"]));
        assert!(told.contains("is a folder"), "{told}");
        let out = format!("new/{}/folders/result", args[0]);
        json(promptfed(here, args).args(["--out", &out]));
        assert!(here.join(out).is_file());
    }
    let (_, told) = failure(&mut synth(here, "file", &[]));
    assert!(told.contains("is a file"), "{told}");
    json(&mut synth(here, "new/job", &[]));
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_program_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    pictures(here);
    json(&mut promptfed(here, &TRAIN));
    let partition = ["partition", "photos", "--partition", "iid:2"];
    let evaluate = ["evaluate", "model.safetensors", "photos"];
    for args in [
        &["extract", "photos"][..],
        &partition,
        &evaluate,
        &TRAIN,
        &[&SYNTH[..], &["job"]].concat(),
        &["synth", "--help"],
        &["label-space", "show", "emoji"],
    ] {
        for more in [&[][..], &["--json"]] {
            let mut child = program(here)
                .args(args)
                .args(more)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            drop(child.stdout.take());
            let mut told = String::new();
            child
                .stderr
                .take()
                .unwrap()
                .read_to_string(&mut told)
                .unwrap();
            let code = child.wait().unwrap().code();
            assert_eq!(code, Some(0), "{args:?}: {told}");
            assert_eq!(told, "", "{args:?}");
        }
    }
    if Path::new("/dev/full").exists() {
        let full = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let output = program(here).args(evaluate).stdout(full).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("standard output cannot be written"), "{told}");
    }
}

#[test]
fn a_result_never_takes_the_place_of_what_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    pictures(here);
    let before = files(here);
    let picture = "photos/cat/0.png";
    for args in [
        &[&TRAIN[..], &["--out", picture]].concat()[..],
        &["extract", "photos", "--out", picture],
        &["extract", "photos", "--preview", picture],
        &["label-space", "from", "photos", "--out", picture],
        &["extract", "photos", "--out", "one", "--preview", "one"],
    ] {
        let (code, told) = failure(&mut promptfed(here, args));
        assert_eq!(code, 3, "{told}");
        assert!(told.contains("another name"), "{told}");
        assert_eq!(files(here), before);
    }
}

#[test]
fn half_a_report_is_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    pictures(here);
    json(&mut compare(here, "out", &["--allow-overlap"]));
    std::fs::remove_file(here.join("out/report.html")).unwrap();
    let (code, told) = failure(&mut compare(here, "out", &["--allow-overlap"]));
    assert!(code == 3 && told.contains("report.json"), "{told}");
}
