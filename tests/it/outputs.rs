//! Nothing good is destroyed, and nothing empty is success: what the program does to files and folders that are there.

use crate::support::server::Server;
use crate::support::{failure, json, program, promptfed};
use assert_cmd::Command;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
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
        "contact-sheet.png",
        "images/classes.tsv",
        "images/image/00000000.png",
        "images/image/00000001.png",
        "images/metadata.jsonl",
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
        ("a", "server/server.sqlite"),
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

#[test]
fn the_folder_of_a_running_server_stays() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let server = Server::start(here, &["--data-dir", "x/server"]);
    let (code, told) = failure(&mut compare(here, "x", &["--force"]));
    assert_eq!(code, 3, "{told}");
    let (code, told) = failure(&mut compare(here, "x/server", &["--force"]));
    assert_eq!(code, 3, "{told}");
    let (code, told) = failure(&mut synth(here, "x/server", &[]));
    assert_eq!(code, 3, "{told}");
    let registered = json(&mut promptfed(
        here,
        &[
            "client",
            "add",
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
fn a_result_takes_the_place_of_nothing_else_in_the_folder_of_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    pictures(here);
    put(here, &["photos/notes.txt", "photos/cat/0.txt"]);
    let classes = "cat\tcat\ndog\tdog\n";
    std::fs::write(here.join("photos/classes.tsv"), classes).unwrap();
    let space = "name = \"pets\"\nclasses = [{ name = \"cat\" }, { name = \"dog\" }]\n";
    std::fs::write(here.join("pets.toml"), space).unwrap();
    let templates = "name = \"plain\"\n[[templates]]\nlevel = \"class\"\npositive = \"{label}\"\n";
    std::fs::write(here.join("plain.toml"), templates).unwrap();
    let before = files(here);
    for out in ["photos/notes.txt", "photos/cat/0.txt", "photos/classes.tsv"] {
        for args in [
            &TRAIN[..],
            &["extract", "photos"],
            &["label-space", "from", "photos", "--force"],
        ] {
            let (code, told) = failure(promptfed(here, args).args(["--out", out]));
            assert_eq!(code, 3, "{told}");
            assert!(told.contains("another name"), "{told}");
            assert_eq!(files(here), before, "{args:?} {out}");
        }
    }
    // Nor of what is read beside it.
    let wording = ["--label-space", "pets.toml", "--templates", "plain.toml"];
    for out in ["pets.toml", "plain.toml"] {
        let extract = ["extract", "photos", "--out", out];
        let (code, told) = failure(promptfed(here, &extract).args(wording));
        assert!(code == 3 && told.contains("what is read too"), "{told}");
        assert_eq!(files(here), before);
    }
    // A list names pictures elsewhere, and is read all the same.
    std::fs::write(
        here.join("list.txt"),
        "photos/cat/1.png 0\nphotos/dog/1.png 1\n",
    )
    .unwrap();
    let (code, told) = failure(&mut promptfed(
        here,
        &["train", "list.txt", "--out", "list.txt"],
    ));
    assert!(code == 3 && told.contains("of the data"), "{told}");

    // Earlier results are, wherever they lie.
    for args in [
        &[&TRAIN[..], &["--out", "photos/model"]].concat()[..],
        &["extract", "photos", "--out", "photos/prompts.json"],
    ] {
        json(&mut promptfed(here, args));
        json(&mut promptfed(here, args));
    }
}

#[cfg(unix)]
#[test]
fn an_output_that_is_no_regular_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    pictures(here);
    let made = std::process::Command::new("mkfifo")
        .arg(here.join("pipe"))
        .status();
    assert!(made.unwrap().success());
    std::os::unix::fs::symlink("/dev/full", here.join("full")).unwrap();
    for (out, what) in [
        ("pipe", "a named pipe"),
        ("full", "a device"),
        ("/dev/null", "a device"),
    ] {
        for args in [
            &TRAIN[..],
            &["extract", "photos"],
            &["label-space", "from", "photos"],
            &["round", "model", "1"],
            &["round", "spec", "1"],
        ] {
            let mut command = promptfed(here, args);
            command
                .args(["--out", out])
                .timeout(Duration::from_secs(60));
            let (code, told) = failure(&mut command);
            assert_eq!(code, 1, "{args:?}: {told}");
            assert!(
                told.contains(what) && told.contains("regular files"),
                "{args:?}: {told}"
            );
        }
    }
}

#[test]
fn classes_that_were_edited_are_not_replaced_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    pictures(here);
    let from = ["label-space", "from", "photos"];
    json(&mut promptfed(here, &from));
    // The same once more destroys nothing.
    json(&mut promptfed(here, &from));
    let file = here.join("label-space.toml");
    let edited = std::fs::read_to_string(&file).unwrap() + "prompt_name = \"hound\"\n";
    std::fs::write(&file, &edited).unwrap();
    let (code, told) = failure(&mut promptfed(here, &from));
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("--force"), "{told}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), edited);
    json(promptfed(here, &from).arg("--force"));
    assert!(!std::fs::read_to_string(&file).unwrap().contains("hound"));
}

#[test]
fn a_server_starts_in_its_own_folder_and_with_its_models_alone() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let serve = |args: &[&str]| {
        let mut command = promptfed(here, &["serve", "--addr", "127.0.0.1:0"]);
        command.args(args).timeout(Duration::from_secs(60));
        failure(&mut command)
    };
    put(&here.join("other"), &["server.lock"]);
    let before = files(here);
    let (code, told) = serve(&["--data-dir", "other"]);
    assert!(code == 3 && told.contains("server.lock"), "{told}");
    assert_eq!(files(here), before);
    let (code, told) = serve(&["--data-dir", "new", "--filter-clip", "nowhere"]);
    assert!(code == 3 && told.contains("nowhere"), "{code} {told}");
    assert!(!here.join("new").exists());

    let running = Server::start(here, &["--data-dir", "mine"]);
    let (code, told) = serve(&["--data-dir", "mine"]);
    assert!(
        code == 3 && told.contains("another server uses"),
        "{code} {told}"
    );
    drop(running);
    // The lock of a server that was killed is nobody's.
    drop(Server::start(here, &["--data-dir", "mine"]));
}

#[test]
fn a_folder_that_is_not_the_jobs_is_wrong_input() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    json(&mut synth(here, "out", &[]));
    let job = here.join("out/job.json");
    let own = std::fs::read_to_string(&job).unwrap();
    let manifest = here.join("out/manifest.jsonl");
    let rows = std::fs::read_to_string(&manifest).unwrap();
    let refused = |part: &str| {
        let (code, told) = failure(&mut synth(here, "out", &[]));
        assert_eq!(code, 3, "{told}");
        assert!(told.contains(part), "{told}");
    };
    std::fs::write(&job, "{\"name\": \"my job\"}").unwrap();
    refused("not a job file");
    std::fs::write(&job, own.replace("\"format\": 1", "\"format\": 9")).unwrap();
    refused("format 9");
    std::fs::remove_file(&job).unwrap();
    refused("job.json: missing");
    std::fs::write(&job, &own).unwrap();
    std::fs::write(&manifest, rows.replacen("a cat", "a dog", 1)).unwrap();
    refused("1 of its lines are of no prompt of this job");
    std::fs::write(&manifest, rows).unwrap();
    assert_eq!(json(&mut synth(here, "out", &[]))["report"]["resumed"], 2);
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
