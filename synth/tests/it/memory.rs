//! A million prompts take no more memory than a thousand.
#![cfg(target_os = "linux")]

use std::io::Write;
use std::path::Path;
use std::process::Command;

use promptfed_synth::{JobSpec, PromptSource};

use crate::fixtures::{Painter, label_space, run_quietly, spec_for};

const FOLDER: &str = "PROMPTFED_TEST_MEMORY";

/// Plans every prompt of the file, makes the first 100, and tells the peak of its memory.
#[test]
#[ignore = "runs as a child process of the test below"]
fn child() {
    let Some(dir) = std::env::var_os(FOLDER) else {
        return;
    };
    let dir = Path::new(&dir);
    let mut painter = Painter::new();
    let source = PromptSource::JsonLines {
        path: dir.join("prompts.jsonl"),
        label_space: label_space(),
    };
    let spec = JobSpec {
        prompts: source,
        limit: Some(100),
        batch: 10,
        ..spec_for(&painter)
    };
    let report = run_quietly(&mut painter, &spec, &dir.join("out")).unwrap();
    assert_eq!(report.done, 100);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    println!("planned {} {peak}", report.planned);
}

/// Peak memory in KiB of a job over `prompts` prompts.
fn peak(prompts: u64) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let mut file =
        std::io::BufWriter::new(std::fs::File::create(dir.path().join("prompts.jsonl")).unwrap());
    for i in 0..prompts {
        writeln!(
            file,
            "{{\"class\":\"mammal\",\"prompt\":\"a photo of mammal number {i}\"}}"
        )
        .unwrap();
    }
    file.into_inner().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "memory::child",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(FOLDER, dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(child.status.success(), "{text}");
    let said = text
        .split_once(&format!("planned {prompts} VmHWM:"))
        .unwrap()
        .1;
    said.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn memory_does_not_grow_with_the_plan() {
    let (small, large) = (peak(1_000), peak(1_000_000));
    println!("peak memory: {small} KiB with 1,000 prompts, {large} KiB with 1,000,000");
    assert!(large < small + 4096, "{small} KiB grew to {large} KiB");
}
