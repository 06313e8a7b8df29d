//! Unfit draws: replaced by a draw with a derived seed, given up after the last.

use promptfed_synth::job::{Fault, INDEX_FILE};
use promptfed_synth::{ImageSeed, JobSpec, load_images};

use crate::fixtures::{Painter, assert_same_files, rows, run_quietly, spec_for};

/// Spoils three draws of eight: one holds a NaN, one is black, one is like all others of its kind.
fn spoil(request: &promptfed_synth::ImageRequest, values: &mut [f32]) {
    let byte = request.seed.as_bytes()[0];
    match byte % 8 {
        0 => values[5] = f32::NAN,
        1 => values.fill(-1.0),
        2 => values
            .iter_mut()
            .enumerate()
            .for_each(|(i, v)| *v = (i % 7) as f32 / 7.0),
        _ => {}
    }
}

#[test]
fn faults_are_replaced_counted_and_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let mut painter = Painter::spoiling(spoil);
    let spec = JobSpec {
        images: promptfed_synth::ImageBudget::PerPrompt(20),
        attempts: 30,
        ..spec_for(&painter)
    };
    let report = run_quietly(&mut painter, &spec, dir.path()).unwrap();
    let rows = rows(dir.path());
    assert_eq!((report.accepted, report.rejected), (400, 0));
    assert!(
        report.non_finite > 20 && report.constant > 20 && report.duplicate > 20,
        "{report:?}"
    );
    assert_eq!(
        report.redrawn,
        report.non_finite + report.constant + report.duplicate
    );
    let mut hashes: Vec<_> = rows.iter().map(|r| r.pixel_hash.unwrap()).collect();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), 400, "no two images are the same");
    for row in &rows {
        assert_eq!(row.attempts as usize, row.flags.len() + 1);
    }
    for batch in [1, 33] {
        let other = tempfile::tempdir().unwrap();
        run_quietly(
            &mut Painter::spoiling(spoil),
            &JobSpec {
                batch,
                ..spec.clone()
            },
            other.path(),
        )
        .unwrap();
        assert_same_files(dir.path(), other.path());
    }
}

#[test]
fn an_image_is_given_up_after_the_last_draw() {
    let dir = tempfile::tempdir().unwrap();
    let mut painter = Painter::spoiling(|request, values| {
        let is_spoiled = ["tool", "building"]
            .iter()
            .any(|c| request.prompt.contains(c));
        if request.prompt.contains("fluent") && is_spoiled {
            values.fill(-1.0);
        }
    });
    let spec = JobSpec {
        attempts: 3,
        ..spec_for(&painter)
    };
    let report = run_quietly(&mut painter, &spec, dir.path()).unwrap();
    assert_eq!(
        (
            report.done,
            report.accepted,
            report.rejected,
            report.redrawn,
            report.constant
        ),
        (20, 18, 2, 4, 6)
    );
    let rejected: Vec<_> = rows(dir.path())
        .into_iter()
        .filter(|r| r.rejected.is_some())
        .collect();
    for row in &rejected {
        assert_eq!(row.rejected, Some(Fault::Constant));
        assert_eq!(row.flags, [Fault::Constant; 3]);
        assert_eq!(
            (&row.file, &row.pixel_hash, row.attempts),
            (&None, &None, 3)
        );
    }
    assert_eq!(load_images(dir.path(), 8).unwrap().len(), 18);
}

#[test]
fn redraws_have_seeds_derived_from_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let mut painter = Painter::spoiling(spoil);
    let spec = JobSpec {
        attempts: 30,
        ..spec_for(&painter)
    };
    run_quietly(&mut painter, &spec, dir.path()).unwrap();
    let redrawn = rows(dir.path())
        .into_iter()
        .find(|r| r.attempts > 1)
        .unwrap();
    let text = promptfed_prompts::RenderedPrompt {
        positive: redrawn.prompt,
        negative: redrawn.negative,
    };
    let first = ImageSeed::derive(
        0,
        promptfed_prompts::ClassIndex::new(redrawn.class),
        &text,
        redrawn.index,
    );
    assert_eq!(redrawn.seed, first.attempt(redrawn.attempts - 1));
}

#[test]
fn a_lost_index_is_made_again_from_the_manifest() {
    let (reference, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let spec = JobSpec {
        images: promptfed_synth::ImageBudget::PerPrompt(5),
        attempts: 30,
        ..spec_for(&Painter::new())
    };
    run_quietly(&mut Painter::spoiling(spoil), &spec, reference.path()).unwrap();
    let limited = JobSpec {
        limit: Some(60),
        ..spec.clone()
    };
    run_quietly(&mut Painter::spoiling(spoil), &limited, dir.path()).unwrap();
    std::fs::remove_file(dir.path().join(INDEX_FILE)).unwrap();
    run_quietly(&mut Painter::spoiling(spoil), &spec, dir.path()).unwrap();
    assert_same_files(dir.path(), reference.path());
}
