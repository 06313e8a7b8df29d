//! Parquet shards as the data crate reads them.

use promptfed_data::{DecodeOptions, Fit, OpenOptions};
use promptfed_synth::{ImageBudget, JobSpec, OutputFormat, load_images};

use crate::fixtures::{Painter, files, run_quietly, spec_for};

#[test]
fn shards_read_back_as_a_data_set_of_the_hub() {
    let (folder, parquet) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let spec = JobSpec {
        images: ImageBudget::PerPrompt(55),
        ..spec_for(&Painter::new())
    };
    run_quietly(&mut Painter::new(), &spec, folder.path()).unwrap();
    let spec = JobSpec {
        output: OutputFormat::Parquet,
        ..spec
    };
    run_quietly(&mut Painter::new(), &spec, parquet.path()).unwrap();

    let names: Vec<_> = files(parquet.path())
        .into_keys()
        .map(|f| f.display().to_string())
        .collect();
    assert_eq!(
        names,
        [
            "data/train-00000.parquet",
            "data/train-00001.parquet",
            "job.json",
            "manifest.jsonl"
        ]
    );

    let images = load_images(parquet.path(), 8).unwrap();
    assert_eq!(images, load_images(folder.path(), 8).unwrap());

    let dataset =
        promptfed_data::open(&parquet.path().join("data"), &OpenOptions::default()).unwrap();
    assert_eq!(dataset.class_names, images.class_names);
    let (opened, report) =
        promptfed_data::load(&dataset, 8, Fit::Crop, &DecodeOptions::default()).unwrap();
    assert!(report.skipped.is_empty());
    assert_eq!(opened, images);
}
