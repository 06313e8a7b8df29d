//! `promptfed synth --workers` and `promptfed worker`: the files of a job that is drawn alone, whatever becomes of the processes.
#![cfg(unix)]

use crate::support::{failure, json, program, promptfed};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Nothing here takes longer.
const LONGEST: Duration = Duration::from_secs(300);

const IMAGES: usize = 320;

/// A job of 320 small images, in one step.
const JOB: [&str; 12] = [
    "synth",
    "--prompts",
    "prompts.txt",
    "--images-per-prompt",
    "40",
    "--steps",
    "1",
    "--guidance",
    "1",
    "--sampler",
    "euler",
    "--precision=f32",
];

fn prompts(folder: &Path) {
    let lines: Vec<String> = (0..8)
        .map(|n| format!("a photo of {n} churches\n"))
        .collect();
    std::fs::write(folder.join("prompts.txt"), lines.concat()).unwrap();
}

/// The job drawn alone.
fn alone(folder: &Path) {
    prompts(folder);
    promptfed(folder, &JOB)
        .args(["--out", "alone"])
        .assert()
        .success();
}

/// All files below a folder with their bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_owned();
                all.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    all
}

fn assert_same(folder: &Path, shared: &str) {
    let (alone, shared) = (files(&folder.join("alone")), files(&folder.join(shared)));
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&alone), names(&shared));
    for (name, bytes) in alone {
        assert!(shared[&name] == bytes, "{name:?} differs");
    }
}

/// Starts a process whose output nobody reads.
fn started(folder: &Path, args: &[&str]) -> Child {
    program(folder)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn worker(folder: &Path) -> Child {
    started(
        folder,
        &["worker", "shared", "--precision=f32", "--batch", "8"],
    )
}

/// The job, whose images only workers draw that were started elsewhere.
fn run(folder: &Path, lease: &str) -> Child {
    let own = ["--out", "shared", "--workers", "0", "--lease", lease];
    started(folder, &[&JOB[..], &own].concat())
}

/// Sends a signal by its name.
fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args([name, &id]).status().unwrap();
    assert!(sent.success());
}

/// Rows of the manifest.
fn rows(folder: &Path) -> usize {
    let manifest = std::fs::read(folder.join("shared/manifest.jsonl")).unwrap_or_default();
    manifest.iter().filter(|byte| **byte == b'\n').count()
}

/// Waits until the manifest has so many rows.
fn wait_for_rows(folder: &Path, wanted: usize) {
    let begun = Instant::now();
    while rows(folder) < wanted {
        assert!(
            begun.elapsed() < LONGEST,
            "{} of {wanted} rows",
            rows(folder)
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn end_of(mut child: Child) -> ExitStatus {
    let begun = Instant::now();
    loop {
        match child.try_wait().unwrap() {
            Some(status) => return status,
            None => assert!(begun.elapsed() < LONGEST, "it does not end"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn succeeds(child: Child) {
    let status = end_of(child);
    assert!(status.success(), "{status}");
}

#[test]
fn two_workers_make_the_files_of_a_job_that_is_drawn_alone() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    alone(here);
    let printed = json(promptfed(here, &JOB).args(["--out", "shared", "--workers", "2"]));
    assert_eq!(printed["report"]["accepted"], IMAGES);
    assert_same(here, "shared");
    // A finished job needs no worker, and has no place for one.
    json(promptfed(here, &JOB).args(["--out", "shared", "--workers", "1"]));
    assert_same(here, "shared");
}

#[test]
fn killed_and_stopped_workers_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    alone(here);
    let job = run(here, "2");
    let mut workers = vec![worker(here), worker(here)];
    wait_for_rows(here, 1);
    // Stopped for longer than its lease, while others draw what it had.
    let stopped = worker(here);
    std::thread::sleep(Duration::from_millis(1500));
    signal(&stopped, "-STOP");
    for kill in 0..6 {
        std::thread::sleep(Duration::from_millis(300 + 70 * kill));
        let mut killed = workers.remove(0);
        killed.kill().unwrap();
        killed.wait().unwrap();
        workers.push(worker(here));
    }
    std::thread::sleep(Duration::from_secs(3));
    signal(&stopped, "-CONT");
    succeeds(job);
    assert_same(here, "shared");
    for worker in workers.into_iter().chain([stopped]) {
        // On a fast machine it may have come after the end, and says that nobody runs the job.
        let status = end_of(worker);
        assert!(matches!(status.code(), Some(0 | 3)), "{status}");
    }
    assert_same(here, "shared");
}

#[test]
fn a_killed_job_goes_on_with_the_workers_that_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    alone(here);
    let mut job = run(here, "2");
    let workers = [worker(here), worker(here)];
    for wanted in [1, 100, 200] {
        wait_for_rows(here, wanted);
        job.kill().unwrap();
        job.wait().unwrap();
        job = run(here, "2");
    }
    succeeds(job);
    for worker in workers {
        succeeds(worker);
    }
    assert_same(here, "shared");
}

#[test]
fn what_cannot_work_is_told_with_its_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let (code, told) = failure(&mut promptfed(
        here,
        &["worker", "nowhere", "--linger", "0"],
    ));
    assert_eq!(code, 3, "{told}");
    assert!(
        told.contains("nowhere") && told.contains("--workers"),
        "{told}"
    );
    let two = [
        "worker",
        "x",
        "--engine",
        "pocket",
        "--engine",
        "pocket:draw",
    ];
    let (code, told) = failure(&mut promptfed(here, &two));
    assert!(code == 3 && told.contains("one --engine"), "{told}");

    // A worker of another precision says which is needed.
    prompts(here);
    let mut job = run(here, "60");
    let begun = Instant::now();
    while !here.join("shared/.promptfed/shards.sqlite").exists() {
        assert!(begun.elapsed() < LONGEST);
        std::thread::sleep(Duration::from_millis(10));
    }
    let other = ["worker", "shared", "--precision", "bf16"];
    let (code, told) = failure(&mut promptfed(here, &other));
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("precision f32 is needed"), "{told}");
    job.kill().unwrap();
    job.wait().unwrap();

    let sd = ["--workers", "1", "--height", "64", "--out", "x"];
    let (code, told) = failure(promptfed(here, &JOB).args(sd));
    assert!(code == 3 && told.contains("--height"), "{told}");
}

/// What `run` with a word says of the one job in `shared`.
fn told(folder: &Path, word: &str) -> serde_json::Value {
    let mut printed = json(&mut promptfed(folder, &["run", word, "shared"]));
    assert_eq!(printed["jobs"].as_array().unwrap().len(), 1, "{printed}");
    printed["jobs"][0].take()
}

/// Waits until the job has asked for all its shards.
fn wait_for_shards(folder: &Path) {
    let begun = Instant::now();
    loop {
        if folder.join("shared/job.json").exists() {
            let job = told(folder, "list");
            if job["state"] == "running" && job["shards"]["waiting"] == IMAGES / 32 {
                return;
            }
        }
        assert!(begun.elapsed() < LONGEST, "no shards");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_run_pauses_goes_on_and_ends_as_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    alone(here);
    let done = json(&mut promptfed(here, &["run", "list", "alone"]));
    assert_eq!(done["jobs"][0]["state"], "done");
    assert_eq!(done["jobs"][0]["done"], IMAGES);
    let shown = json(&mut promptfed(here, &["run", "show", "alone"]));
    assert_eq!(shown["accepted"], IMAGES);
    assert_eq!(shown["prompts"], 8);
    assert_eq!(shown["shards"], serde_json::Value::Null);
    let (code, said) = failure(&mut promptfed(here, &["run", "pause", "alone"]));
    assert!(code == 3 && said.contains("nobody runs this job"), "{said}");
    assert!(!here.join("alone/.promptfed").exists());

    // Nobody draws yet, so that the job cannot be done too soon.
    let job = run(here, "60");
    wait_for_shards(here);
    let running = told(here, "list");
    assert_eq!(running["state"], "running");
    assert_eq!(running["done"], 0);
    let (code, said) = failure(&mut promptfed(here, &["run", "resume", "shared"]));
    assert!(code == 3 && said.contains("does not pause"), "{said}");
    assert_eq!(told(here, "pause")["state"], "paused");
    // A worker that comes is given nothing.
    let first = worker(here);
    std::thread::sleep(Duration::from_secs(2));
    let paused = told(here, "list");
    assert_eq!(paused["state"], "paused");
    assert_eq!(paused["shards"]["waiting"], IMAGES / 32);
    assert_eq!(rows(here), 0);
    // What pauses can be ended.
    assert!(matches!(
        told(here, "cancel")["state"].as_str(),
        Some("ending" | "stopped")
    ));
    assert!(!end_of(job).success());
    // On a slow machine it may have come after the end, and says that nobody runs the job.
    assert!(matches!(end_of(first).code(), Some(0 | 3)));
    let stopped = told(here, "list");
    assert_eq!(stopped["state"], "stopped");
    assert_eq!(stopped["done"], 0);
    // The folder above has both jobs, of which none runs.
    let all = json(&mut promptfed(here, &["run", "list"]));
    assert_eq!(all["jobs"].as_array().unwrap().len(), 2);
    let (code, said) = failure(&mut promptfed(here, &["run", "cancel", "."]));
    assert!(code == 3 && said.contains("none of the 2 jobs"), "{said}");
    let (code, said) = failure(&mut promptfed(here, &["run", "retry", "alone"]));
    assert!(code == 3 && said.contains("no shards"), "{said}");

    // The same command goes on, and heeds nothing that the earlier run was told.
    let job = run(here, "60");
    wait_for_shards(here);
    assert_eq!(told(here, "pause")["state"], "paused");
    assert_eq!(told(here, "resume")["state"], "running");
    let second = worker(here);
    succeeds(job);
    succeeds(second);
    assert_eq!(told(here, "list")["state"], "done");
    assert_same(here, "shared");
}
