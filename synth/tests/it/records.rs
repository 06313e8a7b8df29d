//! What pictures say of themselves.

use promptfed_data::{DecodeOptions, OpenOptions, read_encoded};
use promptfed_synth::{
    Generator, ImageBudget, JobSpec, OutputFormat, RECORD_KEYWORD, RecordedImage,
};

use crate::fixtures::{Painter, assert_same_files, files, rows, run_quietly, spec_for};

fn spec(output: OutputFormat, records: bool) -> JobSpec {
    JobSpec {
        images: ImageBudget::PerPrompt(2),
        output,
        records,
        ..spec_for(&Painter::new())
    }
}

fn holds_record(bytes: &[u8]) -> bool {
    let keyword = RECORD_KEYWORD.as_bytes();
    bytes.windows(keyword.len()).any(|part| part == keyword)
}

#[test]
fn every_picture_is_drawn_again_from_its_own_record() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec(OutputFormat::Folder, true);
    run_quietly(&mut Painter::new(), &spec, dir.path()).unwrap();
    let rows = rows(dir.path());
    assert_eq!(rows.len(), 40);
    for row in &rows {
        let image = RecordedImage::read(&dir.path().join(row.file.as_ref().unwrap())).unwrap();
        assert!(image.is_intact());
        let record = &image.record;
        assert_eq!(Some(record.pixel_hash), row.pixel_hash);
        assert_eq!((&record.domain, record.class), (&row.domain, row.class));
        let again = Painter::new().generate(&[record.request()]).unwrap();
        assert_eq!(image.difference(&again[0]).pixels, 0);
    }
}

#[test]
fn lost_pictures_come_back_with_their_records() {
    let (reference, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let spec = spec(OutputFormat::Folder, true);
    for place in [reference.path(), dir.path()] {
        run_quietly(&mut Painter::new(), &spec, place).unwrap();
    }
    let lost = rows(dir.path()).into_iter().step_by(3);
    for row in lost {
        std::fs::remove_file(dir.path().join(row.file.unwrap())).unwrap();
    }
    let report = run_quietly(&mut Painter::new(), &spec, dir.path()).unwrap();
    assert_eq!(report.mended, 14);
    assert_same_files(dir.path(), reference.path());
}

#[test]
fn pictures_in_shards_have_them_too() {
    for records in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let spec = spec(OutputFormat::Parquet, records);
        run_quietly(&mut Painter::new(), &spec, dir.path()).unwrap();
        let set = promptfed_data::open(&dir.path().join("data"), &OpenOptions::default()).unwrap();
        let mut held = 0;
        read_encoded(&set, &DecodeOptions::default(), |_, png| {
            held += usize::from(holds_record(png));
        })
        .unwrap();
        assert_eq!(held, if records { 40 } else { 0 });
    }
}

/// Prompts go nowhere that nobody asked for.
#[test]
fn a_job_that_is_not_asked_for_them_writes_none() {
    let dir = tempfile::tempdir().unwrap();
    let spec = JobSpec {
        images: ImageBudget::PerPrompt(2),
        ..spec_for(&Painter::new())
    };
    run_quietly(&mut Painter::new(), &spec, dir.path()).unwrap();
    let pictures: Vec<_> = files(dir.path())
        .into_iter()
        .filter(|(file, _)| file.extension().is_some_and(|e| e == "png"))
        .collect();
    assert_eq!(pictures.len(), 41, "40 and the contact sheet");
    assert!(pictures.iter().all(|(_, bytes)| !holds_record(bytes)));
}
