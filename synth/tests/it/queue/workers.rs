//! Jobs drawn by workers: the files of a job that is drawn alone, whatever becomes of the workers.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use promptfed_synth::job::{Sharing, WorkerOptions, WorkerReport, run_shared, work};
use promptfed_synth::queue::{Policy, WorkerId};
use promptfed_synth::{
    EngineInfo, Error, Generator, Image, ImageBudget, ImageRequest, JobReport, JobSpec,
    OutputFormat, Result,
};

use crate::fixtures::{Painter, assert_same_files, files, run_quietly, spec_for};

/// One draw of eight holds a NaN, one is black, one is like others of its kind.
fn spoil(request: &ImageRequest, values: &mut [f32]) {
    match request.seed.as_bytes()[0] % 8 {
        0 => values[5] = f32::NAN,
        1 => values.fill(-1.0),
        2 => values
            .iter_mut()
            .enumerate()
            .for_each(|(i, v)| *v = (i % 7) as f32 / 7.0),
        _ => {}
    }
}

fn options(worker: u64) -> WorkerOptions {
    WorkerOptions {
        worker: WorkerId(worker),
        batch: 7,
        linger: Duration::from_secs(20),
    }
}

/// Runs a job with these workers to its end.
fn run_with(
    spec: &JobSpec,
    sharing: &Sharing,
    folder: &Path,
    workers: Vec<Box<dyn Generator>>,
) -> (Result<JobReport>, Vec<Result<WorkerReport>>) {
    let never = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let hands: Vec<_> = workers
            .into_iter()
            .zip(1..)
            .map(|(mut engine, id)| {
                let never = &never;
                scope.spawn(move || {
                    let options = options(id);
                    work(engine.as_mut(), folder, &options, &mut |_| {}, never)
                })
            })
            .collect();
        let mut painter = Painter::spoiling(spoil);
        let report = run_shared(&mut painter, spec, sharing, folder, &mut |_| {}, &never);
        let reports = hands.into_iter().map(|hand| hand.join().unwrap()).collect();
        (report, reports)
    })
}

fn job(output: OutputFormat) -> JobSpec {
    let painter = Painter::spoiling(spoil);
    JobSpec {
        images: ImageBudget::PerPrompt(60),
        attempts: 30,
        output,
        ..spec_for(&painter)
    }
}

fn painters(n: usize) -> Vec<Box<dyn Generator>> {
    (0..n)
        .map(|_| Box::new(Painter::spoiling(spoil)) as Box<dyn Generator>)
        .collect()
}

#[test]
fn workers_make_the_files_of_a_job_that_is_drawn_alone() {
    for (output, shard, workers) in [
        (OutputFormat::Folder, 32, 1),
        (OutputFormat::Folder, 100, 3),
        (OutputFormat::Parquet, 64, 2),
    ] {
        let (alone, shared) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let spec = job(output);
        let mut painter = Painter::spoiling(spoil);
        let expected = run_quietly(&mut painter, &spec, alone.path()).unwrap();
        assert!(expected.duplicate > 20 && expected.non_finite > 20);
        let sharing = Sharing {
            shard,
            ahead: 5,
            ..Sharing::default()
        };
        let (report, workers) = run_with(&spec, &sharing, shared.path(), painters(workers));
        let report = JobReport {
            elapsed: expected.elapsed,
            ..report.unwrap()
        };
        assert_eq!(report, expected);
        assert_same_files(alone.path(), shared.path());
        let drawn: u64 = workers
            .into_iter()
            .map(|report| report.unwrap().images)
            .sum();
        assert_eq!(drawn, expected.planned);
    }
}

/// What fails at times, and ends its worker after three failures in a row.
struct Failing {
    painter: Painter,
    asked: u32,
    every: u32,
}

impl Generator for Failing {
    fn describe(&self) -> &EngineInfo {
        self.painter.describe()
    }

    fn generate(&mut self, requests: &[ImageRequest]) -> Result<Vec<Image>> {
        self.asked += 1;
        if self.asked.is_multiple_of(self.every) {
            return Err(Error::Backend {
                engine: "painter".into(),
                reason: "has no memory left".into(),
                transient: false,
            });
        }
        self.painter.generate(requests)
    }
}

fn failing(every: u32) -> Box<dyn Generator> {
    Box::new(Failing {
        painter: Painter::spoiling(spoil),
        asked: 0,
        every,
    })
}

fn hasty() -> Sharing {
    Sharing {
        policy: Policy {
            pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(5),
            ..Policy::default()
        },
        ..Sharing::default()
    }
}

#[test]
fn shards_that_fail_on_one_worker_are_drawn_by_another() {
    let (alone, shared) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let spec = job(OutputFormat::Folder);
    run_quietly(&mut Painter::spoiling(spoil), &spec, alone.path()).unwrap();
    let mut workers = painters(1);
    workers.push(failing(40));
    let (report, _) = run_with(&spec, &hasty(), shared.path(), workers);
    report.unwrap();
    assert_same_files(alone.path(), shared.path());
}

#[test]
fn images_that_nobody_can_draw_are_told_and_drawn_later() {
    let (alone, shared) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let spec = job(OutputFormat::Folder);
    run_quietly(&mut Painter::spoiling(spoil), &spec, alone.path()).unwrap();
    let strict = Sharing {
        policy: Policy {
            workers: 1,
            ..Policy::default()
        },
        ..Sharing::default()
    };
    let workers = (0..3).map(|_| failing(1)).collect();
    let (report, _) = run_with(&spec, &strict, shared.path(), workers);
    let told = report.unwrap_err().to_string();
    assert!(
        told.contains("set aside") && told.contains("has no memory left"),
        "{told}"
    );
    let (report, _) = run_with(&spec, &hasty(), shared.path(), painters(2));
    assert_eq!(report.unwrap().resumed, 0);
    assert_same_files(alone.path(), shared.path());
}

#[test]
fn what_is_done_is_not_drawn_again_when_a_run_goes_on() {
    let (alone, shared) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let spec = job(OutputFormat::Folder);
    run_quietly(&mut Painter::spoiling(spoil), &spec, alone.path()).unwrap();
    let limited = JobSpec {
        limit: Some(333),
        ..spec.clone()
    };
    let (report, workers) = run_with(&limited, &hasty(), shared.path(), painters(2));
    assert_eq!(report.unwrap().done, 333);
    let first: u64 = workers.into_iter().map(|r| r.unwrap().images).sum();
    // The job goes on alone for a while, and then shared.
    let alone_for_a_while = JobSpec {
        limit: Some(400),
        ..spec.clone()
    };
    run_quietly(
        &mut Painter::spoiling(spoil),
        &alone_for_a_while,
        shared.path(),
    )
    .unwrap();
    let (report, workers) = run_with(&spec, &hasty(), shared.path(), painters(2));
    assert_eq!(report.unwrap().resumed, 400);
    let second: u64 = workers.into_iter().map(|r| r.unwrap().images).sum();
    assert_eq!((first, second), (333, 1200 - 400));
    assert_same_files(alone.path(), shared.path());
    let left = files(shared.path());
    assert!(
        !left.keys().any(|file| file.starts_with(".promptfed")),
        "{:?}",
        left.keys()
    );
}

#[test]
fn an_object_that_was_damaged_is_drawn_again() {
    static SPOILT: AtomicU32 = AtomicU32::new(0);

    /// Damages what lies in the folder for the manifest before it draws.
    struct Vandal {
        painter: Painter,
        objects: std::path::PathBuf,
    }
    impl Generator for Vandal {
        fn describe(&self) -> &EngineInfo {
            self.painter.describe()
        }
        fn generate(&mut self, requests: &[ImageRequest]) -> Result<Vec<Image>> {
            if SPOILT.load(Ordering::Relaxed) < 3 {
                let entries = std::fs::read_dir(&self.objects).into_iter().flatten();
                for entry in entries.flatten() {
                    // What was taken up meanwhile is gone.
                    let there = std::fs::OpenOptions::new().write(true).open(entry.path());
                    let is_spoilt = there.is_ok_and(|mut file| file.write_all(b"spoilt").is_ok());
                    SPOILT.fetch_add(u32::from(is_spoilt), Ordering::Relaxed);
                }
            }
            self.painter.generate(requests)
        }
    }
    let (alone, shared) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let spec = job(OutputFormat::Folder);
    run_quietly(&mut Painter::spoiling(spoil), &spec, alone.path()).unwrap();
    let vandal = Vandal {
        painter: Painter::spoiling(spoil),
        objects: shared.path().join(".promptfed/objects"),
    };
    let (report, _) = run_with(&spec, &hasty(), shared.path(), vec![Box::new(vandal)]);
    report.unwrap();
    assert!(SPOILT.load(Ordering::Relaxed) > 0);
    let kept = files(shared.path());
    let kept = kept.keys().filter(|file| !file.starts_with(".promptfed"));
    assert_eq!(kept.count(), files(alone.path()).len());
    for (name, bytes) in files(alone.path()) {
        assert!(files(shared.path())[&name] == bytes, "{name:?}");
    }
}

#[test]
fn an_engine_that_draws_other_images_is_refused() {
    struct Other(EngineInfo);
    impl Generator for Other {
        fn describe(&self) -> &EngineInfo {
            &self.0
        }
        fn generate(&mut self, _: &[ImageRequest]) -> Result<Vec<Image>> {
            unreachable!("it is refused before")
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let mut info = Painter::new().describe().clone();
    info.version = "2".into();
    let workers: Vec<Box<dyn Generator>> = vec![Box::new(Other(info)), painters(1).remove(0)];
    let (report, reports) = run_with(&job(OutputFormat::Folder), &hasty(), folder.path(), workers);
    report.unwrap();
    let told = reports[0].as_ref().unwrap_err().to_string();
    assert!(
        told.contains("version 1 is needed") && told.contains("--engine"),
        "{told}"
    );
    assert_eq!(reports[1].as_ref().unwrap().images, 1200);
}

#[test]
fn a_worker_without_a_job_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let options = WorkerOptions {
        linger: Duration::ZERO,
        ..options(1)
    };
    let never = AtomicBool::new(false);
    let mut painter = Painter::new();
    let told = work(&mut painter, folder.path(), &options, &mut |_| {}, &never).unwrap_err();
    assert!(told.to_string().contains("here is no job"), "{told}");
    assert_eq!(files(folder.path()).len(), 0);
    let spec = job(OutputFormat::Folder);
    run_quietly(&mut painter, &spec, folder.path()).unwrap();
    let told = work(&mut painter, folder.path(), &options, &mut |_| {}, &never).unwrap_err();
    assert!(told.to_string().contains("nobody runs this job"), "{told}");
}
