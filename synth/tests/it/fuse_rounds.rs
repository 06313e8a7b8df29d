//! Rounds of generation with feedback.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use promptfed_synth::fuse::{
    Aids, Backend, FUSED, FuseSpec, Makers, QUOTAS_FILE, QuotaSource, ROUNDS_FILE, RoundQuota,
    RoundWriting, RoundWritingSpec, RoundsReport, RoundsSpec, open_fused, read_written, rounds,
};
use promptfed_synth::writers::check::{Limits, Reason};
use promptfed_synth::writers::{Ask, Writer, WriterInfo};
use promptfed_synth::{
    EngineInfo, Error, Generator, Image, ImageRequest, JobSpec, PromptSource, Reproducible, Result,
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
        Makers::of(backends),
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
            Makers::of(&mut backends()),
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

/// A writer that gives one text without its class and otherwise what can be used, and remembers what it was shown.
struct Remembering {
    info: WriterInfo,
    shown: Vec<(Vec<String>, Vec<String>)>,
}

impl Remembering {
    fn new() -> Self {
        Self {
            info: WriterInfo {
                name: "remembering".into(),
                version: "1".into(),
                reproducible: Reproducible::Exact,
                hash: None,
                settings: Default::default(),
            },
            shown: Vec::new(),
        }
    }
}

impl Writer for Remembering {
    fn describe(&self) -> &WriterInfo {
        &self.info
    }

    fn write(&mut self, ask: &Ask<'_>) -> Result<Vec<String>> {
        self.shown.push((ask.good.to_vec(), ask.bad.to_vec()));
        let text = |number: u64| match number {
            0 => "a thing on a table".to_owned(),
            // Other texts in every round.
            _ => format!(
                "{}, seen {number} times of {}",
                ask.topic.opening,
                ask.seed % 9973
            ),
        };
        let numbers = ask.first..ask.first + ask.wanted as u64;
        Ok(numbers.map(text).collect())
    }
}

fn run_with_writer(writer: &mut Remembering, spec: &RoundsSpec, out: &Path) -> RoundsReport {
    let never = AtomicBool::new(false);
    let mut backends = backends();
    let makers = Makers {
        backends: &mut backends,
        writing: Some(RoundWriting {
            writer,
            settings: RoundWritingSpec {
                per_prompt: 6,
                candidates: 4,
                limits: Limits::default(),
            },
            is_slow: true,
        }),
    };
    rounds(
        makers,
        spec,
        &setup,
        Aids::default(),
        out,
        &mut |_| {},
        &never,
    )
    .unwrap()
}

#[test]
fn a_writer_is_shown_its_own_useful_and_useless_texts_after_the_first_round() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = RoundsSpec {
        images: 600,
        ..rounds_spec()
    };
    spec.fuse.task.recipe = spec.fuse.task.recipe.with(10, 0);
    let mut writer = Remembering::new();
    let report = run_with_writer(&mut writer, &spec, dir.path());
    let texts = |round: u32| -> BTreeSet<String> {
        let folders = ["a", "b", "c"].map(|name| format!("round-{round}/backends/{name}"));
        let rows = folders.iter().flat_map(|f| rows(&dir.path().join(f)));
        rows.map(|row| row.prompt).collect()
    };
    let (first, second) = (texts(0), texts(1));
    // Each of 20 topics has six texts, and nothing else is asked for.
    assert_eq!(first.len(), 120);
    assert!(
        first.iter().all(|text| text.contains(", seen ")),
        "{first:?}"
    );
    assert!(second.iter().all(|text| text.contains(", seen ")));
    let kept = second.intersection(&first).count();
    assert!(
        kept > 0 && second.len() > kept,
        "{kept} of {}",
        second.len()
    );

    let asks = writer.shown.len();
    let begun = writer.shown.iter().position(|(good, _)| !good.is_empty());
    let begun = begun.unwrap();
    assert!(
        writer.shown[..begun]
            .iter()
            .all(|(good, bad)| good.is_empty() && bad.is_empty())
    );
    assert!(begun * 3 > asks && asks > 40, "{begun} of {asks}");
    for (good, bad) in &writer.shown[begun..] {
        assert!(!good.is_empty());
        assert!(good.iter().chain(bad).all(|text| first.contains(text)));
        assert!(good.iter().all(|text| !bad.contains(text)));
    }

    assert!(writer.shown.iter().any(|(_, bad)| !bad.is_empty()));

    // What was refused is told with the report, and lies in the folder.
    assert_eq!(report.written.len(), 2);
    for written in &report.written {
        assert_eq!((written.wanted, written.written), (120, 120));
        assert_eq!(written.refused.count(Reason::ClassMissing), 20);
    }
    assert_eq!(read_written(dir.path()).unwrap(), report.written);
    let unfinished = files(dir.path());
    assert!(
        unfinished
            .keys()
            .all(|file| !file.to_string_lossy().contains("unfinished"))
    );

    // Done is done: nothing is written again, and another writer would be other rounds.
    let mut again = Remembering::new();
    assert_eq!(run_with_writer(&mut again, &spec, dir.path()), report);
    assert!(again.shown.is_empty());
    let told = run_rounds(&mut backends(), &spec, dir.path()).unwrap_err();
    assert!(told.to_string().contains("writing"), "{told}");
}
