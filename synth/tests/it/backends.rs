//! Several engines, one set of prompts: each has its job, one that fails is set aside, and all of it goes on.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use promptfed_synth::{
    BackendJob, BackendState, BackendsRecord, BackendsReport, EngineInfo, Error, Generator, Image,
    ImageBudget, ImageRequest, JobSpec, Result, Spread, is_job, open_images, run_backends,
};

use crate::fixtures::{Painter, assert_same_files, prompts, run_quietly};

/// An engine that fails while `is_dead`.
struct Mortal {
    painter: Painter,
    is_dead: Arc<AtomicBool>,
    transient: bool,
    asked: Arc<Mutex<u32>>,
}

impl Generator for Mortal {
    fn describe(&self) -> &EngineInfo {
        self.painter.describe()
    }

    fn generate(&mut self, requests: &[ImageRequest]) -> Result<Vec<Image>> {
        *self.asked.lock().unwrap() += 1;
        if self.is_dead.load(Ordering::Relaxed) {
            return Err(Error::Backend {
                engine: "mortal".into(),
                reason: "is dead".into(),
                transient: self.transient,
            });
        }
        self.painter.generate(requests)
    }
}

fn spec(seed: u64) -> JobSpec {
    let painter = Painter::new();
    let own = JobSpec::new(prompts(), &painter.describe().defaults);
    let retry = promptfed_synth::service::Retry {
        attempts: 3,
        first_pause: std::time::Duration::from_millis(1),
        longest_pause: std::time::Duration::from_millis(2),
    };
    let images = ImageBudget::Total {
        images: 20,
        spread: Spread::ClassBalanced,
    };
    JobSpec {
        seed,
        images,
        retry,
        batch: 4,
        ..own
    }
}

fn job(name: &str, is_service: bool, engine: impl Generator + 'static) -> BackendJob<'static> {
    BackendJob {
        name: name.into(),
        engine: format!("{name}:test"),
        is_service,
        load: Box::new(move || Ok((Box::new(engine) as Box<dyn Generator>, spec(7)))),
    }
}

fn mortal(is_dead: &Arc<AtomicBool>, transient: bool) -> (Mortal, Arc<Mutex<u32>>) {
    let asked = Arc::new(Mutex::new(0));
    let mortal = Mortal {
        painter: Painter::spoiling(|_, values| values.iter_mut().for_each(|v| *v = -*v)),
        is_dead: Arc::clone(is_dead),
        transient,
        asked: Arc::clone(&asked),
    };
    (mortal, asked)
}

fn run(jobs: Vec<BackendJob<'_>>, out: &Path) -> Result<BackendsReport> {
    run_backends(jobs, 7, out, &|_, _| {}, &AtomicBool::new(false))
}

#[test]
fn each_engine_s_job_is_an_ordinary_one() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let (other, _) = mortal(&Arc::new(AtomicBool::new(false)), false);
    let report = run(
        vec![
            job("a", false, Painter::new()),
            job("pocket:b", true, other),
        ],
        &out,
    )
    .unwrap();
    assert_eq!(report.accepted(), 40);
    assert!(
        report
            .backends
            .iter()
            .all(|b| b.state == BackendState::Done)
    );
    let alone = folder.path().join("alone");
    run_quietly(&mut Painter::new(), &spec(7), &alone).unwrap();
    assert_same_files(&alone, &out.join("backends/a"));
    let record = BackendsRecord::read(&out).unwrap();
    assert_eq!(record.backends["pocket:b"].folder, "backends/pocket-b");
    assert_eq!(record.backends["a"].accepted, 20);
    assert!(record.backends["a"].job.is_some());
    assert!(is_job(&out));
    let images = open_images(&out).unwrap();
    assert_eq!(images.len(), 40);
    assert_eq!(images.domain_names, ["fluent", "noto"]);
    // A folder of several jobs is no folder for one, nor the other way round.
    assert!(run_quietly(&mut Painter::new(), &spec(7), &out).is_err());
    assert!(run(vec![job("a", false, Painter::new())], &alone).is_err());
}

#[test]
fn an_engine_that_fails_is_set_aside_and_resumed() {
    let folder = tempfile::tempdir().unwrap();
    for (i, transient) in [(0, false), (1, true)] {
        let out = folder.path().join(i.to_string());
        let is_dead = Arc::new(AtomicBool::new(true));
        let (dead, asked) = mortal(&is_dead, transient);
        let report = run(
            vec![job("dead", true, dead), job("well", false, Painter::new())],
            &out,
        )
        .unwrap();
        assert_eq!(report.accepted(), 20);
        assert!(
            matches!(&report.backends[0].state, BackendState::SetAside { reason } if reason.contains("is dead")),
            "{:?}",
            report.backends[0].state
        );
        assert_eq!(report.backends[1].state, BackendState::Done);
        assert_eq!(*asked.lock().unwrap(), if transient { 3 } else { 1 });
        assert_eq!(open_images(&out).unwrap().len(), 20);

        is_dead.store(false, Ordering::Relaxed);
        let (alive, _) = mortal(&is_dead, transient);
        let report = run(
            vec![job("dead", true, alive), job("well", false, Painter::new())],
            &out,
        )
        .unwrap();
        assert_eq!(report.accepted(), 40);
        assert_eq!(report.backends[1].report.as_ref().unwrap().resumed, 20);
        assert_eq!(open_images(&out).unwrap().len(), 40);
    }
}

#[test]
fn engines_that_all_fail_fail_the_run_and_a_missing_one_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let is_dead = Arc::new(AtomicBool::new(true));
    let (one, other) = (mortal(&is_dead, false).0, mortal(&is_dead, false).0);
    let out = folder.path().join("all");
    let error = run(vec![job("a", false, one), job("b", true, other)], &out).unwrap_err();
    let told = error.to_string();
    assert!(matches!(error, Error::AllSetAside { .. }));
    assert!(told.contains("a: ") && told.contains("b: "), "{told}");

    let missing = BackendJob {
        name: "missing".into(),
        engine: "sd:nowhere".into(),
        is_service: false,
        load: Box::new(|| Err(std::io::Error::other("weights are missing").into())),
    };
    let out = folder.path().join("missing");
    let report = run(vec![missing, job("well", false, Painter::new())], &out).unwrap();
    assert!(matches!(
        report.backends[0].state,
        BackendState::SetAside { .. }
    ));
    assert_eq!(report.accepted(), 20);
}

#[test]
fn short_and_wrong_sized_answers_are_the_engine_s_fault() {
    struct Small(Painter);
    impl Generator for Small {
        fn describe(&self) -> &EngineInfo {
            self.0.describe()
        }
        fn size(&self) -> [u32; 2] {
            [16, 16]
        }
        fn generate(&mut self, requests: &[ImageRequest]) -> Result<Vec<Image>> {
            self.0.generate(requests)
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let error = run_quietly(&mut Small(Painter::new()), &spec(7), folder.path()).unwrap_err();
    let told = error.to_string();
    assert!(told.contains("8 x 8") && told.contains("16 x 16"), "{told}");
}
