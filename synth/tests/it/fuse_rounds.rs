//! Rounds of generation with feedback.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use promptfed_synth::fuse::{
    Aids, Backend, FUSED, FuseSpec, QUOTAS_FILE, QuotaSource, ROUNDS_FILE, RoundQuota,
    RoundsReport, RoundsSpec, open_fused, rounds,
};
use promptfed_synth::{
    EngineInfo, Error, Generator, Image, ImageRequest, JobSpec, PromptSource, Result,
};

use crate::fixtures::{files, prompts, rows};
use crate::fuse::{Squares, lasting, spec};

fn backends() -> Vec<Backend> {
    vec![
        ("b".into(), Box::new(Squares::new("good at fluent", "noto"))),
        ("a".into(), Box::new(Squares::new("good at noto", "fluent"))),
        (
            "c".into(),
            Box::new(Squares::new("good at both", "nothing")),
        ),
    ]
}

fn rounds_spec() -> RoundsSpec {
    let mut fuse = spec("random", Some(200));
    // Long enough for the same verdict from every instruction set.
    fuse.task.recipe = fuse.task.recipe.with(60, 0);
    RoundsSpec {
        rounds: 2,
        images: 240,
        prompts: prompts(),
        examples: 4,
        negatives: false,
        fuse: FuseSpec {
            quotas: Some(QuotaSource::Transfer),
            ..fuse
        },
    }
}

fn setup(prompts: PromptSource, engine: &EngineInfo) -> JobSpec {
    JobSpec::new(prompts, &engine.defaults)
}

fn run_rounds(backends: &mut [Backend], spec: &RoundsSpec, out: &Path) -> Result<RoundsReport> {
    let never = AtomicBool::new(false);
    rounds(
        backends,
        spec,
        &setup,
        Aids::default(),
        out,
        &mut |_| {},
        &never,
    )
}

fn asked(quotas: &[RoundQuota], backend: &str, domain: &str) -> u64 {
    let of = quotas
        .iter()
        .filter(|q| q.backend == backend && q.domain.as_deref() == Some(domain));
    of.map(|q| q.images).sum()
}

#[test]
fn the_second_round_asks_who_was_good_at_it_in_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let report = run_rounds(&mut backends(), &rounds_spec(), dir.path()).unwrap();
    assert!(report.failed.is_empty());
    for quotas in &report.quotas {
        assert_eq!(quotas.iter().map(|q| q.images).sum::<u64>(), 240);
    }
    let [first, second] = &report.quotas[..] else {
        panic!("{:?}", report.quotas.len());
    };
    for (backend, domain) in [("b", "noto"), ("a", "fluent")] {
        let (before, after) = (
            asked(first, backend, domain),
            asked(second, backend, domain),
        );
        assert_eq!(before, 40);
        assert!(after <= 20, "{backend} {domain}: {after}");
    }
    assert!(first.iter().all(|q| q.score.is_none()) && second.iter().all(|q| q.score.is_some()));
    // What was asked for is what was made.
    for (round, quotas) in report.quotas.iter().enumerate() {
        for backend in ["a", "b", "c"] {
            let folder = dir.path().join(format!("round-{round}/backends/{backend}"));
            for domain in ["noto", "fluent"] {
                let made = rows(&folder)
                    .into_iter()
                    .filter(|r| r.domain.as_deref() == Some(domain));
                assert_eq!(made.count() as u64, asked(quotas, backend, domain));
            }
        }
    }
    assert_eq!((report.fused.made, report.fused.chosen), (480, 200));
    assert_eq!(open_fused(&dir.path().join(FUSED)).unwrap().len(), 200);
    // No round draws an image twice.
    let mut pixels: Vec<_> = (0..2)
        .flat_map(|round| rows(&dir.path().join(format!("round-{round}/backends/a"))))
        .map(|row| row.seed)
        .collect();
    let all = pixels.len();
    pixels.sort_by_key(|seed| *seed.as_bytes());
    pixels.dedup();
    assert_eq!(pixels.len(), all);
}

#[test]
fn a_stop_anywhere_changes_no_byte() {
    let dir = tempfile::tempdir().unwrap();
    let spec = RoundsSpec {
        images: 60,
        negatives: true,
        fuse: FuseSpec {
            keep: Some(40),
            ..rounds_spec().fuse
        },
        ..rounds_spec()
    };
    let whole = dir.path().join("whole");
    let report = run_rounds(&mut backends(), &spec, &whole).unwrap();
    let parts = dir.path().join("parts");
    let mut stops = 0;
    for allowed in (0..).step_by(5) {
        let cancel = AtomicBool::new(false);
        let mut told = 0;
        let mut progress = |_| {
            told += 1;
            cancel.store(told > allowed, Ordering::Relaxed);
        };
        let result = rounds(
            &mut backends(),
            &spec,
            &setup,
            Aids::default(),
            &parts,
            &mut progress,
            &cancel,
        );
        match result {
            Err(Error::Cancelled) => stops += 1,
            Ok(again) => {
                assert_eq!(again, report);
                break;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(stops >= 2, "{stops}");
    let of = |out: &Path| {
        let mut files = lasting(out);
        files.retain(|name, _| name.file_name().is_none_or(|name| name != "cost.json"));
        files
    };
    let (whole, parts) = (of(&whole), of(&parts));
    assert_eq!(
        whole.keys().collect::<Vec<_>>(),
        parts.keys().collect::<Vec<_>>()
    );
    for (name, bytes) in &whole {
        assert!(parts[name] == *bytes, "{}", name.display());
    }
    let quotas = whole
        .keys()
        .filter(|name| name.ends_with(QUOTAS_FILE))
        .count();
    assert_eq!(quotas, 2);
}

/// An engine that fails after so many calls.
struct Failing {
    inner: Squares,
    calls: u32,
}

impl Generator for Failing {
    fn describe(&self) -> &EngineInfo {
        self.inner.describe()
    }

    fn generate(&mut self, requests: &[ImageRequest]) -> Result<Vec<Image>> {
        if self.calls == 0 {
            // Fewer than asked for, as a service that hides its errors.
            return Ok(Vec::new());
        }
        self.calls -= 1;
        self.inner.generate(requests)
    }
}

fn backends_with_failing() -> Vec<Backend> {
    let mut backends = backends();
    backends[0].1 = Box::new(Failing {
        inner: Squares::new("good at fluent", "noto"),
        calls: 0,
    });
    backends
}

#[test]
fn a_backend_that_fails_is_set_aside_until_the_next_round() {
    let dir = tempfile::tempdir().unwrap();
    let spec = RoundsSpec {
        images: 120,
        fuse: FuseSpec {
            keep: Some(30),
            ..rounds_spec().fuse
        },
        ..rounds_spec()
    };
    let report = run_rounds(&mut backends_with_failing(), &spec, dir.path()).unwrap();
    assert!(
        report.failed.len() == 2 && report.failed[0].0 == "b",
        "{:?}",
        report.failed
    );
    assert!(report.failed[0].2.contains("where"), "{:?}", report.failed);
    let made = report.quotas.iter().flatten().filter(|q| q.backend != "b");
    assert_eq!(report.fused.made, made.map(|q| q.images).sum::<u64>());
    assert_eq!(report.fused.notes.len(), 1, "{:?}", report.fused.notes);
    let again = run_rounds(&mut backends_with_failing(), &spec, dir.path()).unwrap();
    assert_eq!(again, report);
    let mut none: Vec<Backend> = vec![(
        "x".into(),
        Box::new(Failing {
            inner: Squares::new("x", "-"),
            calls: 0,
        }),
    )];
    let error = run_rounds(&mut none, &spec, &dir.path().join("none"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("every backend failed"), "{error}");
}

#[test]
fn other_rounds_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let spec = RoundsSpec {
        rounds: 1,
        images: 20,
        fuse: FuseSpec {
            quotas: None,
            ..crate::fuse::spec("all", None)
        },
        ..rounds_spec()
    };
    run_rounds(&mut backends(), &spec, dir.path()).unwrap();
    let before = files(dir.path());
    let other = RoundsSpec {
        images: 21,
        ..spec.clone()
    };
    let error = run_rounds(&mut backends(), &other, dir.path())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(ROUNDS_FILE) && error.contains("images (20, asked for 21)"),
        "{error}"
    );
    assert_eq!(before, files(dir.path()));
    let told = |backends: &mut [Backend], spec: &RoundsSpec| {
        run_rounds(backends, spec, &dir.path().join("new"))
            .unwrap_err()
            .to_string()
    };
    let none = RoundsSpec {
        rounds: 0,
        ..spec.clone()
    };
    assert!(told(&mut backends(), &none).contains("0 rounds"));
    assert!(told(&mut [], &spec).contains("at least one backend"));
    let mut twice = backends();
    twice[1].0 = "b".into();
    assert!(told(&mut twice, &spec).contains("one name"));
    twice[1].0 = "../b".into();
    assert!(told(&mut twice, &spec).contains("no folder's name"));
}
