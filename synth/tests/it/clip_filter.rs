//! Jobs whose images must pass a CLIP filter, with the tiny CLIP model of `vision/golden/make.py`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use promptfed_prompts::LabelSpace;
use promptfed_synth::job::{JobRecord, ManifestRow};
use promptfed_synth::{ClipFilter, Error, ImageBudget, JobSpec, PromptSource};

use crate::fixtures::{Painter, assert_same_files, files, rows, run_quietly, spec_for};

/// Runs a job in which most images are given up, and some classes are left without one: a failure that keeps its rows.
fn run_strictly(painter: &mut Painter, spec: &JobSpec, dir: &Path) -> Option<Error> {
    match run_quietly(painter, spec, dir) {
        Ok(_) => None,
        Err(error @ (Error::NoImages { .. } | Error::EmptyClasses { .. })) => Some(error),
        Err(error) => panic!("{error}"),
    }
}

fn clip() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../vision/tests/golden/clip")
}

fn filtering(painter: &Painter, min_score: f32) -> JobSpec {
    JobSpec {
        images: ImageBudget::PerPrompt(2),
        attempts: 3,
        filter: Some(Arc::new(ClipFilter::load(&clip(), min_score).unwrap())),
        ..spec_for(painter)
    }
}

/// A score that the second draw of some image reaches and its first does not.
fn reached_by_a_second_draw() -> f32 {
    let dir = tempfile::tempdir().unwrap();
    let mut painter = Painter::new();
    let spec = filtering(&painter, 1.0);
    match run_quietly(&mut painter, &spec, dir.path()) {
        Err(Error::NoImages { drawn: 40, faults }) => {
            assert!(faults.starts_with("120 draws did not show"), "{faults}");
        }
        other => panic!("{other:?}"),
    }
    let rows = rows(dir.path());
    assert_eq!(rows.iter().filter(|row| row.rejected.is_some()).count(), 40);
    let mut scores = rows.iter().map(|row| row.clip_scores.as_slice());
    scores
        .find_map(|scores| (scores[1] > scores[0]).then_some(scores[1]))
        .unwrap()
}

#[test]
fn images_that_do_not_show_their_class_are_drawn_again_and_then_rejected() {
    let dir = tempfile::tempdir().unwrap();
    let mut painter = Painter::new();
    let min_score = reached_by_a_second_draw();
    let spec = filtering(&painter, min_score);
    let error = run_strictly(&mut painter, &spec, dir.path());
    let rows = rows(dir.path());
    let record = JobRecord::read(dir.path()).unwrap();
    let rule = record.filter.unwrap();
    assert_eq!(rule.min_score, min_score);
    assert_eq!(rule.template, "a photo of a {}");
    let passing = |row: &&ManifestRow| row.clip_scores.last().is_some_and(|s| *s >= min_score);
    for row in &rows {
        assert_eq!(row.clip_hash, Some(rule.clip_hash));
        assert_eq!(row.clip_scores.len(), row.attempts as usize);
        assert_eq!(row.file.is_some(), passing(&row));
        assert_eq!(row.rejected.is_none(), row.file.is_some());
        let thrown_away = row.clip_scores.iter().filter(|s| **s < min_score).count();
        assert_eq!(row.flags.len(), thrown_away);
    }
    let seen: BTreeSet<u32> = rows.iter().filter(passing).map(|row| row.class).collect();
    assert!(!seen.is_empty() && rows.len() == 40);
    match error {
        Some(Error::EmptyClasses { classes, .. }) => assert_eq!(classes.len(), 10 - seen.len()),
        other => assert!(other.is_none() && seen.len() == 10, "{other:?}"),
    }
    assert!(
        rows.iter()
            .any(|row| row.attempts == 2 && row.file.is_some())
    );

    // The image of the last draw is that of its own seed: the next derived one.
    let again = rows.iter().find(|row| row.attempts == 2).unwrap();
    let first = &JobSpec {
        filter: None,
        ..spec
    };
    let unfiltered = tempfile::tempdir().unwrap();
    run_quietly(&mut painter, first, unfiltered.path()).unwrap();
    let plain = self::rows(unfiltered.path());
    let row = &plain[again.index as usize];
    assert_eq!(again.seed, row.seed.attempt(1));
    assert_eq!((row.clip_hash, row.clip_scores.len()), (None, 0));
}

#[test]
fn batches_and_interruptions_change_nothing() {
    let min_score = reached_by_a_second_draw();
    let whole = tempfile::tempdir().unwrap();
    let mut painter = Painter::new();
    let spec = filtering(&painter, min_score);
    run_strictly(&mut painter, &spec, whole.path());
    for batch in [1, 7] {
        let dir = tempfile::tempdir().unwrap();
        for limit in [Some(5), Some(11), None] {
            let part = JobSpec {
                batch,
                limit,
                ..spec.clone()
            };
            run_strictly(&mut painter, &part, dir.path());
        }
        assert_same_files(dir.path(), whole.path());
    }
}

#[test]
fn another_filter_is_another_job() {
    let dir = tempfile::tempdir().unwrap();
    let mut painter = Painter::new();
    let plain = JobSpec {
        filter: None,
        limit: Some(1),
        ..filtering(&painter, 0.1)
    };
    run_quietly(&mut painter, &plain, dir.path()).unwrap();
    let other = filtering(&painter, 0.1);
    match run_quietly(&mut painter, &other, dir.path()) {
        Err(Error::DifferentJob { field, found, .. }) => {
            assert_eq!((field.as_str(), found.as_str()), ("filter", "none"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn filters_without_sense_are_refused() {
    for score in [0.0, -1.0, 1.1, f32::NAN] {
        let error = ClipFilter::load(&clip(), score).unwrap_err().to_string();
        assert!(error.contains("above 0 and at most 1"), "{error}");
    }
    let error = ClipFilter::load("nowhere".as_ref(), 0.5).unwrap_err();
    assert!(error.to_string().contains("config.json"), "{error}");

    let dir = tempfile::tempdir().unwrap();
    let mut painter = Painter::new();
    let prompts = dir.path().join("prompts.jsonl");
    std::fs::write(&prompts, "{\"class\": \"cat\", \"prompt\": \"a cat\"}\n").unwrap();
    let spec = JobSpec {
        prompts: PromptSource::JsonLines {
            path: prompts,
            label_space: LabelSpace::from_names("pets", ["cat"]).unwrap(),
        },
        ..filtering(&painter, 0.5)
    };
    let out = dir.path().join("out");
    let error = run_quietly(&mut painter, &spec, &out).unwrap_err();
    assert!(error.to_string().contains("only one"), "{error}");
    assert!(!out.exists() || files(&out).is_empty());
}
