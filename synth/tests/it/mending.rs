//! A job that goes on finds what was deleted or damaged meanwhile, and makes it again bit for bit.

use std::path::{Path, PathBuf};

use promptfed_synth::{ImageBudget, JobSpec, OutputFormat};

use crate::fixtures::{Painter, assert_same_files, files, run_quietly, spec_for};

fn spec(output: OutputFormat, per_prompt: u32) -> JobSpec {
    JobSpec {
        images: ImageBudget::PerPrompt(per_prompt),
        output,
        ..spec_for(&Painter::new())
    }
}

fn images(dir: &Path) -> Vec<PathBuf> {
    let all = files(dir).into_keys();
    let is_image = |file: &PathBuf| {
        file.extension()
            .is_some_and(|e| e == "png" || e == "parquet")
            && file.parent().is_some_and(|folder| folder != Path::new(""))
    };
    all.filter(is_image).map(|file| dir.join(file)).collect()
}

fn truncate(file: &Path) {
    let bytes = std::fs::read(file).unwrap();
    std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
}

#[test]
fn deleted_truncated_and_exchanged_pictures_are_made_again() {
    let (reference, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let spec = spec(OutputFormat::Folder, 60);
    run_quietly(&mut Painter::new(), &spec, reference.path()).unwrap();
    for limit in [Some(1150), None] {
        let part = JobSpec {
            limit,
            ..spec.clone()
        };
        run_quietly(&mut Painter::new(), &part, dir.path()).unwrap();
        let there = images(dir.path());
        std::fs::remove_file(&there[0]).unwrap();
        truncate(&there[1]);
        std::fs::copy(&there[3], &there[2]).unwrap();
        std::fs::remove_dir_all(there[1100].parent().unwrap()).unwrap();
        std::fs::create_dir_all(&there[1100]).unwrap();
        std::fs::remove_dir(&there[1100]).unwrap();
        let report = run_quietly(&mut Painter::new(), &part, dir.path()).unwrap();
        assert!(report.mended > 3 && report.duplicate == 0, "{report:?}");
        let again = run_quietly(&mut Painter::new(), &part, dir.path()).unwrap();
        assert_eq!(again.mended, 0);
    }
    assert_same_files(dir.path(), reference.path());
}

#[test]
fn deleted_and_damaged_shards_are_made_again() {
    let (reference, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let spec = spec(OutputFormat::Parquet, 120);
    run_quietly(&mut Painter::new(), &spec, reference.path()).unwrap();
    for limit in [Some(2100), None] {
        let part = JobSpec {
            limit,
            ..spec.clone()
        };
        run_quietly(&mut Painter::new(), &part, dir.path()).unwrap();
        let shards = images(dir.path());
        let shards: Vec<_> = shards
            .iter()
            .filter(|s| s.extension().unwrap() == "parquet")
            .collect();
        assert_eq!(shards.len(), 3);
        std::fs::remove_file(shards[0]).unwrap();
        truncate(shards[1]);
        let mut bytes = std::fs::read(shards[2]).unwrap();
        // Within the first picture.
        bytes[200] ^= 0xff;
        std::fs::write(shards[2], bytes).unwrap();
        let report = run_quietly(&mut Painter::new(), &part, dir.path()).unwrap();
        assert!(report.mended >= 2000, "{report:?}");
        let again = run_quietly(&mut Painter::new(), &part, dir.path()).unwrap();
        assert_eq!(again.mended, 0);
    }
    assert_same_files(dir.path(), reference.path());
}

#[test]
fn an_engine_that_makes_other_pictures_now_is_refused() {
    for output in [OutputFormat::Folder, OutputFormat::Parquet] {
        let dir = tempfile::tempdir().unwrap();
        let spec = spec(output, 1);
        run_quietly(&mut Painter::new(), &spec, dir.path()).unwrap();
        truncate(&images(dir.path())[0]);
        let before = files(dir.path());
        let mut other = Painter::spoiling(|_, values| values[0] = -values[0]);
        let told = run_quietly(&mut other, &spec, dir.path())
            .unwrap_err()
            .to_string();
        assert!(told.contains("image 0 is missing or damaged"), "{told}");
        let mut after = files(dir.path());
        after.retain(|file, _| !file.starts_with(".promptfed"));
        assert_eq!(after, before);
    }
}

/// Prints how long a check takes; see `job/check.rs`.
#[test]
#[ignore = "a measurement"]
fn checking_is_cheap() {
    let dir = tempfile::tempdir().unwrap();
    for output in [OutputFormat::Folder, OutputFormat::Parquet] {
        let out = dir.path().join(format!("{output:?}"));
        let spec = JobSpec {
            batch: 1000,
            ..spec(output, 1000)
        };
        let made = run_quietly(&mut Painter::new(), &spec, &out)
            .unwrap()
            .elapsed;
        let checked = run_quietly(&mut Painter::new(), &spec, &out)
            .unwrap()
            .elapsed;
        println!("{output:?}: 20,000 pictures made in {made:?}, checked in {checked:?}");
    }
}

#[test]
fn rows_that_this_job_does_not_write_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (out, victim) = (dir.path().join("out"), dir.path().join("victim.png"));
    std::fs::write(&victim, b"mine").unwrap();
    let spec = spec(OutputFormat::Folder, 1);
    run_quietly(&mut Painter::new(), &spec, &out).unwrap();
    let manifest = out.join("manifest.jsonl");
    let whole = std::fs::read_to_string(&manifest).unwrap();
    for (key, value) in [
        ("file", serde_json::json!("../victim.png")),
        ("class", serde_json::json!(99)),
        ("prompt", serde_json::json!("a dragon")),
        ("domain", serde_json::json!("elsewhere")),
        ("steps", serde_json::json!(999)),
    ] {
        let (first, rest) = whole.split_once('\n').unwrap();
        let mut row: serde_json::Value = serde_json::from_str(first).unwrap();
        row[key] = value;
        std::fs::write(&manifest, format!("{row}\n{rest}")).unwrap();
        let before = files(dir.path());
        let error = run_quietly(&mut Painter::new(), &spec, &out).unwrap_err();
        assert!(error.to_string().contains("manifest.jsonl"), "{error}");
        assert_eq!(files(dir.path()), before, "{key}");
    }
    std::fs::write(&manifest, whole).unwrap();
    run_quietly(&mut Painter::new(), &spec, &out).unwrap();
}

#[test]
fn pictures_that_a_kill_left_without_a_row_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec(OutputFormat::Folder, 1);
    let part = JobSpec {
        limit: Some(3),
        ..spec.clone()
    };
    run_quietly(&mut Painter::new(), &part, dir.path()).unwrap();
    let folder = images(dir.path())[0].parent().unwrap().to_owned();
    // The place of this index is of another class; the note is the user's.
    let (orphan, note) = (folder.join("00000019.png"), folder.join("note.png"));
    std::fs::write(&orphan, b"x").unwrap();
    std::fs::write(&note, b"mine").unwrap();
    run_quietly(&mut Painter::new(), &spec, dir.path()).unwrap();
    assert!(!orphan.exists() && note.exists());
    assert_eq!(images(dir.path()).len(), 21);
}
