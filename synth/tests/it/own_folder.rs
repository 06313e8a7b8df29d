//! A job writes into a folder of its own, and touches nothing else.

use std::path::Path;

use promptfed_synth::job::{JOB_FILE, MANIFEST_FILE};
use promptfed_synth::{Error, JobSpec, OutputFormat};

use crate::fixtures::{Painter, files, run_quietly, spec_for};

fn put(dir: &Path, files: &[&str]) {
    for name in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, name).unwrap();
    }
}

#[test]
fn a_folder_with_anything_else_in_it_is_refused_and_left_as_it_was() {
    let mut painter = Painter::new();
    for names in [
        &["staging/photo.png", "partial"][..],
        &["images/mammal/00000000.png"],
        &["pixels.sqlite"],
        &["data/train-00000.parquet"],
        &["notes.txt", ".DS_Store"],
        &["staging"],
    ] {
        for output in [OutputFormat::Folder, OutputFormat::Parquet] {
            let dir = tempfile::tempdir().unwrap();
            put(dir.path(), names);
            let before = files(dir.path());
            let spec = JobSpec {
                output,
                ..spec_for(&painter)
            };
            let told = run_quietly(&mut painter, &spec, dir.path())
                .unwrap_err()
                .to_string();
            let first = names[0].split('/').next().unwrap();
            assert!(told.contains("nothing in it was touched"), "{told}");
            assert!(told.contains(first) || told.contains("partial"), "{told}");
            assert_eq!(files(dir.path()), before);
        }
    }
}

#[test]
fn hidden_files_are_no_hindrance_and_stay() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), &[".DS_Store", ".git/config"]);
    let mut painter = Painter::new();
    let spec = spec_for(&painter);
    run_quietly(&mut painter, &spec, dir.path()).unwrap();
    let left: Vec<_> = files(dir.path())
        .into_keys()
        .filter(|file| !file.starts_with("images"))
        .map(|file| file.display().to_string())
        .collect();
    let ours = ["contact-sheet.png", JOB_FILE, MANIFEST_FILE];
    assert_eq!(left, [&[".DS_Store", ".git/config"][..], &ours].concat());
}

#[test]
fn what_a_user_puts_beside_the_images_of_a_job_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut painter = Painter::new();
    let spec = JobSpec {
        output: OutputFormat::Parquet,
        ..spec_for(&painter)
    };
    let begun = JobSpec {
        limit: Some(7),
        ..spec.clone()
    };
    run_quietly(&mut painter, &begun, dir.path()).unwrap();
    let mine = [
        "staging/photo.png",
        "partial",
        "pixels.sqlite",
        "data/notes",
    ];
    put(dir.path(), &mine);
    run_quietly(&mut painter, &spec, dir.path()).unwrap();
    for name in mine {
        assert_eq!(
            std::fs::read(dir.path().join(name)).unwrap(),
            name.as_bytes()
        );
    }
    assert!(!dir.path().join(".promptfed").exists());
}

#[test]
fn images_without_their_job_file_are_not_taken_for_another_job() {
    let dir = tempfile::tempdir().unwrap();
    let mut painter = Painter::new();
    let spec = spec_for(&painter);
    run_quietly(&mut painter, &spec, dir.path()).unwrap();
    std::fs::remove_file(dir.path().join(JOB_FILE)).unwrap();
    let before = files(dir.path());
    let other = JobSpec {
        seed: 1,
        ..spec.clone()
    };
    for spec in [spec, other] {
        let told = run_quietly(&mut painter, &spec, dir.path())
            .unwrap_err()
            .to_string();
        assert!(told.contains("job.json: missing beside"), "{told}");
        assert_eq!(files(dir.path()), before);
    }
}

#[test]
fn settings_that_the_engine_refuses_do_not_claim_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut painter = Painter::new();
    let refused = JobSpec {
        steps: 1001,
        ..spec_for(&painter)
    };
    let error = run_quietly(&mut painter, &refused, &out).unwrap_err();
    assert!(matches!(error, Error::Request { .. }), "{error}");
    assert!(!out.exists());
    let corrected = spec_for(&painter);
    run_quietly(&mut painter, &corrected, &out).unwrap();
}

#[test]
fn how_numbers_are_computed_is_part_of_the_job() {
    let engine = |precision| {
        let weights = crate::fixtures::weights();
        promptfed_synth::engines::pocket::Pocket::load_with(&weights, precision).unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let mut wide = engine(promptfed_nn::Precision::F32);
    let spec = JobSpec {
        steps: 1,
        limit: Some(2),
        sampler: promptfed_synth::Sampler::Euler,
        ..spec_for(&wide)
    };
    run_quietly(&mut wide, &spec, dir.path()).unwrap();
    let told = run_quietly(
        &mut engine(promptfed_nn::Precision::Bf16),
        &spec,
        dir.path(),
    )
    .unwrap_err()
    .to_string();
    assert!(
        told.contains("different engine.settings.precision (\"f32\", asked for \"bf16\")"),
        "{told}"
    );
    // The processor has no half precision.
    let half = engine(promptfed_nn::Precision::F16);
    let narrow = engine(promptfed_nn::Precision::Bf16);
    use promptfed_synth::Generator;
    assert_eq!(half.describe(), narrow.describe());
}
