//! Jobs: planning, batches, cancelling, going on, reading back.

use std::sync::atomic::{AtomicBool, Ordering};

use promptfed_synth::job::{JOB_FILE, MANIFEST_FILE};
use promptfed_synth::{
    Error, Generator, Guidance, ImageBudget, ImageRequest, JobSpec, OutputFormat, PromptSource,
    Sampler, Spread, load_images, open_images, run,
};

use crate::fixtures::{
    Painter, assert_same_files, files, label_space, prompts, rows, run_quietly, spec_for,
};

#[test]
fn every_image_has_its_file_and_a_row_that_makes_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut painter = Painter::new();
    let spec = JobSpec {
        images: ImageBudget::PerPrompt(3),
        guidance: Guidance::Uniform {
            low: 1.0,
            high: 5.0,
        },
        ..spec_for(&painter)
    };
    let report = run_quietly(&mut painter, &spec, dir.path()).unwrap();
    assert_eq!(
        (
            report.planned,
            report.accepted,
            report.rejected,
            report.resumed
        ),
        (60, 60, 0, 0)
    );
    let rows = rows(dir.path());
    assert_eq!(rows.len(), 60);
    let mut guidances: Vec<f32> = rows.iter().map(|r| r.guidance).collect();
    for row in &rows {
        let request = ImageRequest {
            prompt: row.prompt.clone(),
            negative: row.negative.clone(),
            seed: row.seed,
            steps: row.steps,
            guidance: row.guidance,
            sampler: row.sampler,
        };
        let again = painter.generate(&[request]).unwrap().remove(0);
        let file = dir.path().join(row.file.as_ref().unwrap());
        assert_eq!(std::fs::read(file).unwrap(), again.to_png().unwrap());
        assert!(
            row.file
                .as_ref()
                .unwrap()
                .starts_with(&format!("images/{}/", row.class_name))
        );
    }
    guidances.sort_by(f32::total_cmp);
    guidances.dedup();
    assert!(guidances.len() > 50 && guidances[0] >= 1.0 && guidances[guidances.len() - 1] <= 5.0);
    let left: Vec<_> = files(dir.path())
        .into_keys()
        .filter(|f| !f.starts_with("images"))
        .collect();
    let expected = ["contact-sheet.png", JOB_FILE, MANIFEST_FILE];
    assert_eq!(left, expected.map(std::path::PathBuf::from));
}

#[test]
fn the_batch_changes_nothing() {
    let reference = tempfile::tempdir().unwrap();
    let mut painter = Painter::new();
    let spec = JobSpec {
        images: ImageBudget::PerPrompt(2),
        ..spec_for(&painter)
    };
    run_quietly(&mut painter, &spec, reference.path()).unwrap();
    for batch in [1, 7, 1000] {
        let dir = tempfile::tempdir().unwrap();
        run_quietly(
            &mut Painter::new(),
            &JobSpec {
                batch,
                ..spec.clone()
            },
            dir.path(),
        )
        .unwrap();
        assert_same_files(dir.path(), reference.path());
    }
}

#[test]
fn a_limit_and_a_cancelled_run_go_on_to_the_same_end() {
    for output in [OutputFormat::Folder, OutputFormat::Parquet] {
        let (reference, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut painter = Painter::new();
        let spec = JobSpec {
            images: ImageBudget::PerPrompt(70),
            batch: 50,
            output,
            ..spec_for(&painter)
        };
        run_quietly(&mut painter, &spec, reference.path()).unwrap();

        let limited = JobSpec {
            limit: Some(123),
            ..spec.clone()
        };
        let report = run_quietly(&mut painter, &limited, dir.path()).unwrap();
        assert_eq!(
            (report.planned, report.done, report.cancelled),
            (1400, 123, false)
        );
        assert_eq!(load_images(dir.path(), 8).unwrap().len(), 123);

        let cancel = AtomicBool::new(false);
        let mut seen = Vec::new();
        let mut progress = |p: &promptfed_synth::JobProgress| {
            seen.push(p.done);
            cancel.store(seen.len() == 3, Ordering::Relaxed);
        };
        let report = run(&mut painter, &spec, dir.path(), &mut progress, &cancel).unwrap();
        assert_eq!(
            (report.done, report.resumed, report.cancelled),
            (223, 123, true)
        );
        assert_eq!(seen, [123, 173, 223]);

        let report = run_quietly(&mut painter, &spec, dir.path()).unwrap();
        assert_eq!(
            (report.done, report.accepted, report.resumed),
            (1400, 1400, 223)
        );
        assert_same_files(dir.path(), reference.path());
        let again = run_quietly(&mut painter, &spec, dir.path()).unwrap();
        assert_eq!((again.done, again.resumed), (1400, 1400));
        assert_same_files(dir.path(), reference.path());
    }
}

#[test]
fn a_different_job_is_refused_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut painter = Painter::new();
    let spec = JobSpec {
        limit: Some(3),
        ..spec_for(&painter)
    };
    run_quietly(&mut painter, &spec, dir.path()).unwrap();
    let before = files(dir.path());
    let others = [
        (
            "seed",
            JobSpec {
                seed: 1,
                ..spec.clone()
            },
        ),
        (
            "steps",
            JobSpec {
                steps: 5,
                ..spec.clone()
            },
        ),
        (
            "sampler",
            JobSpec {
                sampler: Sampler::Heun,
                ..spec.clone()
            },
        ),
        (
            "guidance",
            JobSpec {
                guidance: Guidance::Fixed(3.0),
                ..spec.clone()
            },
        ),
        (
            "output",
            JobSpec {
                output: OutputFormat::Parquet,
                ..spec.clone()
            },
        ),
    ];
    for (name, other) in others {
        match run_quietly(&mut painter, &other, dir.path()) {
            Err(Error::DifferentJob { field, .. }) => {
                assert_eq!(field.split('.').next(), Some(name));
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(files(dir.path()), before);
    let same = JobSpec {
        batch: 2,
        limit: None,
        ..spec
    };
    assert!(
        run_quietly(&mut painter, &same, dir.path()).is_ok(),
        "batch and limit may change"
    );
}

#[test]
fn specifications_without_sense_are_refused_before_any_file_is_written() {
    let mut painter = Painter::new();
    let spec = spec_for(&painter);
    let total = |images, spread| ImageBudget::Total { images, spread };
    let bad = [
        JobSpec {
            steps: 0,
            ..spec.clone()
        },
        JobSpec {
            batch: 0,
            ..spec.clone()
        },
        JobSpec {
            attempts: 0,
            ..spec.clone()
        },
        JobSpec {
            images: ImageBudget::PerPrompt(0),
            ..spec.clone()
        },
        JobSpec {
            limit: Some(0),
            ..spec.clone()
        },
        // Nine images of ten classes, however they are shared out; and none at all.
        JobSpec {
            images: total(9, Spread::ClassBalanced),
            ..spec.clone()
        },
        JobSpec {
            images: total(9, Spread::ByCount),
            ..spec.clone()
        },
        JobSpec {
            images: total(0, Spread::ClassBalanced),
            ..spec.clone()
        },
        JobSpec {
            guidance: Guidance::Fixed(f32::NAN),
            ..spec.clone()
        },
        JobSpec {
            guidance: Guidance::Uniform {
                low: 3.0,
                high: 2.0,
            },
            ..spec
        },
    ];
    for spec in bad {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(
            run_quietly(&mut painter, &spec, dir.path()),
            Err(Error::Spec(_))
        ));
        assert!(files(dir.path()).is_empty());
    }
}

#[test]
fn a_total_is_balanced_or_follows_the_counts() {
    for (spread, first, last) in [(Spread::ClassBalanced, 11, 11), (Spread::ByCount, 2, 20)] {
        let dir = tempfile::tempdir().unwrap();
        let mut painter = Painter::new();
        let spec = JobSpec {
            images: ImageBudget::Total {
                images: 110,
                spread,
            },
            ..spec_for(&painter)
        };
        run_quietly(&mut painter, &spec, dir.path()).unwrap();
        let rows = rows(dir.path());
        let of = |class: u32| rows.iter().filter(|r| r.class == class).count();
        assert_eq!((rows.len(), of(0), of(9)), (110, first, last), "{spread:?}");
    }
}

#[test]
fn images_come_back_with_their_labels_and_domains() {
    let dir = tempfile::tempdir().unwrap();
    let mut painter = Painter::new();
    let spec = spec_for(&painter);
    run_quietly(&mut painter, &spec, dir.path()).unwrap();
    let images = load_images(dir.path(), 8).unwrap();
    assert_eq!(images.len(), 20);
    assert_eq!(images.domain_names, ["fluent", "noto"]);
    assert_eq!(images.class_names.len(), 10);
    for (i, row) in rows(dir.path()).iter().enumerate() {
        assert_eq!(images.labels[i], row.class);
        assert_eq!(
            images.domain_names[images.domains[i] as usize],
            *row.domain.as_ref().unwrap()
        );
        let png = image::open(dir.path().join(row.file.as_ref().unwrap()))
            .unwrap()
            .to_rgb8();
        assert_eq!(images.image(i), png.as_raw().as_slice());
    }
    assert_eq!(open_images(dir.path()).unwrap().len(), 20);
    assert!(load_images(tempfile::tempdir().unwrap().path(), 8).is_err());
}

#[test]
fn prompt_files_are_read_line_by_line_and_faults_name_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("prompts.jsonl");
    let good = "{\"class\":\"mammal\",\"domain\":\"noto\",\"prompt\":\"a cat\",\"count\":2}\n\n{\"class\":\"Vehicle\",\"prompt\":\"a bus\",\"negative\":\"blurry\"}\n";
    let source = || PromptSource::JsonLines {
        path: path.clone(),
        label_space: label_space(),
    };
    let mut painter = Painter::new();
    std::fs::write(&path, good).unwrap();
    let out = dir.path().join("out");
    run_quietly(
        &mut painter,
        &JobSpec {
            prompts: source(),
            ..spec_for(&Painter::new())
        },
        &out,
    )
    .unwrap();
    let rows = rows(&out);
    assert_eq!(
        (rows[0].prompt.as_str(), rows[0].domain.as_deref()),
        ("a cat", Some("noto"))
    );
    assert_eq!(
        (rows[1].class_name.as_str(), rows[1].negative.as_str()),
        ("vehicle", "blurry")
    );
    assert_eq!(load_images(&out, 8).unwrap().domain_names, ["none", "noto"]);

    let long = format!(
        "{{\"class\":\"mammal\",\"prompt\":\"{}\"}}",
        "x".repeat(70_000)
    );
    let bad = [
        "{\"class\":\"unicorn\",\"prompt\":\"a\"}",
        "{\"class\":\"mammal\"}",
        "{\"class\":\"mammal\",\"prompt\":\" \"}",
        "{\"class\":\"mammal\",\"prompt\":\"a\",\"seed\":1}",
        "{\"class\":\"mammal\",\"prompt\":\"a\",\"domain\":\"\"}",
        "not json",
        "{\"class\":\"mammal\",\"prompt\":\"\u{0}\"}",
        &long,
    ];
    for line in bad {
        std::fs::write(&path, format!("{good}{line}\n")).unwrap();
        let fresh = tempfile::tempdir().unwrap();
        let spec = JobSpec {
            prompts: source(),
            ..spec_for(&Painter::new())
        };
        match run_quietly(&mut painter, &spec, fresh.path()) {
            Err(Error::PromptLine { line, .. }) => assert_eq!(line, 4),
            other => panic!("{other:?}"),
        }
        assert!(files(fresh.path()).is_empty());
    }
}

#[test]
fn a_torn_last_row_is_dropped_and_a_damaged_one_is_an_error() {
    let (reference, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut painter = Painter::new();
    let spec = spec_for(&painter);
    run_quietly(&mut painter, &spec, reference.path()).unwrap();
    run_quietly(
        &mut painter,
        &JobSpec {
            limit: Some(9),
            ..spec.clone()
        },
        dir.path(),
    )
    .unwrap();
    let manifest = dir.path().join(MANIFEST_FILE);
    let whole = std::fs::read(&manifest).unwrap();
    std::fs::write(&manifest, &whole[..whole.len() - 40]).unwrap();
    let report = run_quietly(&mut painter, &spec, dir.path()).unwrap();
    assert_eq!((report.resumed, report.duplicate), (8, 0));
    assert_same_files(dir.path(), reference.path());

    let mut damaged = std::fs::read(&manifest).unwrap();
    damaged[10] = b'!';
    std::fs::write(&manifest, damaged).unwrap();
    let error = run_quietly(&mut painter, &spec, dir.path()).unwrap_err();
    assert!(
        matches!(error, Error::Output { .. }) && error.to_string().contains("line 1 is damaged"),
        "{error}"
    );
}

#[test]
fn a_folder_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut painter = Painter::new();
    let spec = JobSpec {
        prompts: prompts(),
        ..spec_for(&painter)
    };
    let mut inner = None;
    let mut progress = |_: &promptfed_synth::JobProgress| {
        if inner.is_none() {
            inner = Some(run_quietly(&mut Painter::new(), &spec, dir.path()));
        }
    };
    run(
        &mut painter,
        &spec,
        dir.path(),
        &mut progress,
        &AtomicBool::new(false),
    )
    .unwrap();
    let error = inner.unwrap().unwrap_err().to_string();
    assert!(error.contains("another run"), "{error}");
}

#[test]
fn what_lies_beside_the_images_is_written_where_it_is_missing_or_old() {
    let dir = tempfile::tempdir().unwrap();
    let mut painter = Painter::new();
    let spec = JobSpec {
        images: ImageBudget::PerPrompt(2),
        limit: Some(5),
        ..spec_for(&painter)
    };
    let beside = ["images/metadata.jsonl", "contact-sheet.png"].map(|file| dir.path().join(file));
    run_quietly(&mut painter, &spec, dir.path()).unwrap();
    let lines = || std::fs::read_to_string(&beside[0]).unwrap().lines().count();
    assert_eq!(lines(), 5);
    // What this program wrote is left as it is where nothing is made.
    std::fs::write(&beside[0], "one line\n").unwrap();
    run_quietly(&mut painter, &spec, dir.path()).unwrap();
    assert_eq!(lines(), 1);
    std::fs::remove_file(&beside[1]).unwrap();
    run_quietly(&mut painter, &spec, dir.path()).unwrap();
    assert_eq!(lines(), 5);
    assert!(beside[1].exists());
    let more = JobSpec {
        limit: Some(9),
        ..spec
    };
    run_quietly(&mut painter, &more, dir.path()).unwrap();
    assert_eq!(lines(), 9);
}
