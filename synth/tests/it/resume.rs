//! A job killed at any moment ends as if it never was.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use promptfed_synth::job::MANIFEST_FILE;
use promptfed_synth::{Generator, ImageBudget, JobSpec, OutputFormat, Sampler, load_images};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::fixtures::{Painter, assert_same_files, pocket, run_quietly, spec_for};

const FOLDER: &str = "PROMPTFED_TEST_RESUME";
const JOB: &str = "PROMPTFED_TEST_RESUME_JOB";

/// The jobs of this file: an engine, what it makes, and how many images that is.
fn job(name: &str) -> (Box<dyn Generator>, JobSpec, u64) {
    let few_steps = |spec| JobSpec {
        steps: 2,
        sampler: Sampler::Euler,
        batch: 4,
        ..spec
    };
    match name {
        "pocket-folder" | "pocket-parquet" => {
            let engine = pocket();
            let output = if name == "pocket-folder" {
                OutputFormat::Folder
            } else {
                OutputFormat::Parquet
            };
            let spec = JobSpec {
                images: ImageBudget::PerPrompt(12),
                output,
                ..few_steps(spec_for(&engine))
            };
            (Box::new(engine), spec, 240)
        }
        "shards" => {
            let engine = Painter::new();
            let spec = JobSpec {
                images: ImageBudget::PerPrompt(125),
                output: OutputFormat::Parquet,
                ..few_steps(spec_for(&engine))
            };
            (Box::new(engine), spec, 2500)
        }
        _ => panic!("no job {name}"),
    }
}

#[test]
#[ignore = "runs as a child process of the tests below"]
fn child() {
    if let (Some(dir), Ok(name)) = (std::env::var_os(FOLDER), std::env::var(JOB)) {
        let (mut engine, spec, _) = job(&name);
        run_quietly(engine.as_mut(), &spec, Path::new(&dir)).unwrap();
    }
}

fn rows(dir: &Path) -> u64 {
    let bytes = std::fs::read(dir.join(MANIFEST_FILE)).unwrap_or_default();
    bytes.iter().filter(|b| **b == b'\n').count() as u64
}

/// Starts the job in a process of its own, kills it once `until` rows are written and a moment has passed, and tells
/// whether it was still at work.
fn run_and_kill(name: &str, dir: &Path, until: u64, pause: Duration) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "resume::child", "--ignored", "--test-threads=1"])
        .env(FOLDER, dir)
        .env(JOB, name)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while rows(dir) < until {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            return false;
        }
        std::thread::yield_now();
    }
    std::thread::sleep(pause);
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

fn survives_kills(name: &str, kills: u64) {
    let (reference, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut engine, spec, images) = job(name);
    run_quietly(engine.as_mut(), &spec, reference.path()).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut killed = 0;
    for i in 0..kills {
        let until = images * i / kills + rng.random_range(0..images / kills / 2);
        killed += u64::from(run_and_kill(
            name,
            dir.path(),
            until,
            Duration::from_micros(rng.random_range(0..3_000)),
        ));
    }
    assert!(
        killed >= kills / 2,
        "only {killed} of {kills} kills met a running job"
    );
    let report = run_quietly(engine.as_mut(), &spec, dir.path()).unwrap();
    assert_eq!(
        (report.done, report.accepted, report.duplicate),
        (images, images, 0)
    );
    assert_same_files(dir.path(), reference.path());
    assert_eq!(load_images(dir.path(), 8).unwrap().len() as u64, images);
}

#[test]
fn pocket_images_survive_kills() {
    survives_kills("pocket-folder", 5);
}

#[test]
fn pocket_shards_survive_kills() {
    survives_kills("pocket-parquet", 4);
}

#[test]
fn many_shards_survive_kills() {
    survives_kills("shards", 10);
}
