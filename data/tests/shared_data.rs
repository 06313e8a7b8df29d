//! The real data sets, where they are present.
#![allow(clippy::unwrap_used)]

mod common;

use common::shared_data;
use promptfed_data::{
    DataError, Dataset, DatasetWarning, DecodeOptions, Fit, OpenOptions, load, open,
};

fn load_all(dataset: &Dataset) -> promptfed_data::LabelledImages {
    let (images, report) = load(dataset, 32, Fit::Crop, &DecodeOptions::default()).unwrap();
    assert!(report.skipped.is_empty(), "{report}");
    assert_eq!(images.len(), dataset.len());
    images
}

#[test]
fn emoji_parquet() {
    let Some(data) = shared_data() else { return };
    let dataset = open(&data.join("emoji/private.parquet"), &OpenOptions::default()).unwrap();
    assert_eq!(dataset.len(), 989);
    assert_eq!(dataset.class_names.len(), 10);
    assert_eq!(dataset.class_names[0], "building");
    assert_eq!(
        dataset.domain_names,
        [
            "blob", "contrast", "emojione", "flat", "fluent", "noto", "twemoji"
        ]
    );
    assert!(dataset.samples.iter().all(|s| s.caption.is_some()));
    assert!(matches!(
        &dataset.warnings[..],
        [DatasetWarning::ColumnsNotUsed { columns, .. }] if columns == &["license"]
    ));
    load_all(&dataset);
    assert!(matches!(
        open(&data.join("emoji"), &OpenOptions::default()),
        Err(DataError::SplitNotChosen { .. })
    ));
}

#[test]
fn pacs_domain_folders() {
    let Some(data) = shared_data() else { return };
    let options = OpenOptions {
        split: Some("test".to_owned()),
        ..OpenOptions::default()
    };
    let dataset = open(&data.join("pacs"), &options).unwrap();
    assert_eq!(dataset.len(), 1047);
    assert_eq!(
        dataset.class_names,
        [
            "dog", "elephant", "giraffe", "guitar", "horse", "house", "person"
        ]
    );
    assert_eq!(
        dataset.domain_names,
        ["art_painting", "cartoon", "photo", "sketch"]
    );
    load_all(&dataset);
}

#[test]
fn imagenette_class_folders() {
    let Some(data) = shared_data() else { return };
    let dataset = open(&data.join("imagenette/test"), &OpenOptions::default()).unwrap();
    assert_eq!(dataset.len(), 1942);
    assert_eq!(dataset.class_names[0], "n01440764");
    assert!(dataset.domain_names.is_empty());
    load_all(&dataset);
}

#[test]
fn no_picture_of_a_test_set_is_private_too() {
    let assets = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/emoji");
    let read = |name: &str| open(&assets.join(name), &OpenOptions::default()).unwrap();
    let (private, test) = (read("private.parquet"), read("test.parquet"));
    let options = DecodeOptions::default();
    let pairs = promptfed_data::same_pictures(&private, &test, &options).unwrap();
    assert!(pairs.is_empty(), "{pairs:?}");
    let itself = promptfed_data::same_pictures(&test, &test, &options).unwrap();
    assert_eq!(itself.len(), test.len());
}
