//! Parquet with the hub's columns, well-formed and not.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{golden, png, write};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use promptfed_data::{
    DataError, DatasetWarning, DecodeOptions, Fit, OpenOptions, SkipReason, decode, load, open,
};
use promptfed_prompts::{ClassEntry, LabelSpace};
use proptest::prelude::*;
use tempfile::tempdir;

/// A column's values; `None` is null.
enum Column {
    Bytes(Vec<Option<Vec<u8>>>),
    Long(Vec<Option<i64>>),
    Int(Vec<i32>),
}

fn bytes<T: AsRef<[u8]>>(values: &[T]) -> Column {
    Column::Bytes(values.iter().map(|v| Some(v.as_ref().to_vec())).collect())
}

/// Writes row groups of columns with an optional `huggingface` metadata.
fn write_parquet(path: &Path, schema: &str, metadata: Option<&str>, groups: &[Vec<Column>]) {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let metadata =
        metadata.map(|json| vec![KeyValue::new("huggingface".to_owned(), json.to_owned())]);
    let properties = WriterProperties::builder()
        .set_key_value_metadata(metadata)
        .build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).unwrap();
    for group in groups {
        let mut group_writer = writer.next_row_group().unwrap();
        for column in group {
            let mut writer = group_writer.next_column().unwrap().unwrap();
            match column {
                Column::Bytes(values) => {
                    let levels: Vec<i16> = values.iter().map(|v| i16::from(v.is_some())).collect();
                    let present: Vec<ByteArray> = values
                        .iter()
                        .flatten()
                        .map(|v| ByteArray::from(v.clone()))
                        .collect();
                    writer
                        .typed::<ByteArrayType>()
                        .write_batch(&present, Some(&levels), None)
                        .unwrap();
                }
                Column::Long(values) => {
                    let levels: Vec<i16> = values.iter().map(|v| i16::from(v.is_some())).collect();
                    let present: Vec<i64> = values.iter().flatten().copied().collect();
                    writer
                        .typed::<Int64Type>()
                        .write_batch(&present, Some(&levels), None)
                        .unwrap();
                }
                Column::Int(values) => {
                    writer
                        .typed::<Int32Type>()
                        .write_batch(values, None, None)
                        .unwrap();
                }
            }
            writer.close().unwrap();
        }
        group_writer.close().unwrap();
    }
    writer.close().unwrap();
}

const TWO_CLASSES: &str =
    r#"{"info": {"features": {"label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}}}"#;
const BINARY_AND_LONG: &str = "message m { optional binary image; optional int64 label; }";

#[test]
fn shards_of_the_hub_are_read_in_order() {
    let dataset = open(&golden().join("hub"), &OpenOptions::default()).unwrap();
    assert_eq!(dataset.class_names, ["cat", "dog", "owl"]);
    assert!(dataset.domain_names.is_empty());
    assert_eq!(dataset.labels(), [0, 1, 0, 1, 0, 1, 0, 1]);
    let captions: Vec<Option<&str>> = dataset
        .samples
        .iter()
        .map(|s| s.caption.as_deref())
        .collect();
    assert_eq!(captions[1], Some("picture 1"));
    assert_eq!(captions[2], None);
    let (images, report) = load(&dataset, 4, Fit::Crop, &DecodeOptions::default()).unwrap();
    assert!(report.skipped.is_empty());
    let reds: Vec<u8> = (0..images.len()).map(|i| images.image(i)[0]).collect();
    assert_eq!(reds, [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn rows_can_be_read_in_any_order() {
    let dataset = open(&golden().join("hub"), &OpenOptions::default()).unwrap();
    for order in [
        vec![7, 0, 3, 2, 2, 5],
        vec![1, 4, 6],
        vec![6, 5, 4, 3, 2, 1, 0],
    ] {
        let (images, _) = load(
            &dataset.subset(&order),
            4,
            Fit::Crop,
            &DecodeOptions::default(),
        )
        .unwrap();
        let reds: Vec<usize> = (0..images.len())
            .map(|i| images.image(i)[0].into())
            .collect();
        assert_eq!(reds, order);
    }
}

#[test]
fn a_missing_shard_is_an_error() {
    let root = tempdir().unwrap();
    let shard = "train-00001-of-00002.parquet";
    std::fs::copy(golden().join("hub").join(shard), root.path().join(shard)).unwrap();
    let error = open(root.path(), &OpenOptions::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("shard 0 of 2 of `train` is missing"),
        "{error}"
    );
    assert_eq!(
        open(&root.path().join(shard), &OpenOptions::default())
            .unwrap()
            .len(),
        3
    );
}

#[test]
fn strings_domains_and_nulls() {
    let root = tempdir().unwrap();
    let path = root.path().join("all.parquet");
    let text = |values: &[&str]| -> Column {
        Column::Bytes(
            values
                .iter()
                .map(|v| (!v.is_empty()).then(|| v.as_bytes().to_vec()))
                .collect(),
        )
    };
    write_parquet(
        &path,
        "message m { optional binary image; optional binary label (UTF8); optional binary domain (UTF8); optional binary caption (UTF8); }",
        None,
        &[
            vec![
                bytes(&[png(0), png(1), png(2)]),
                text(&["dog", "", "cat"]),
                text(&["sketch", "photo", ""]),
                text(&["a dog", "", ""]),
            ],
            vec![
                bytes(&[png(3)]),
                text(&["cat"]),
                text(&["photo"]),
                text(&[""]),
            ],
        ],
    );
    let dataset = open(&path, &OpenOptions::default()).unwrap();
    assert_eq!(dataset.class_names, ["cat", "dog"]);
    // Rows without a domain are kept, as one domain of their own.
    assert_eq!(dataset.domain_names, ["none", "photo", "sketch"]);
    assert_eq!(
        (dataset.labels(), dataset.domains()),
        (vec![1, 0, 0], vec![2, 0, 1])
    );
    assert_eq!(dataset.samples[0].caption.as_deref(), Some("a dog"));
    let rows_without = |column: &str| DatasetWarning::RowsWithout {
        column: column.to_owned(),
        file: path.clone(),
        rows: 1,
    };
    assert_eq!(dataset.warnings, [rows_without("label")]);
    let mut first_pixels = Vec::new();
    decode(&dataset, &DecodeOptions::default(), |_, image| {
        first_pixels.push(image.pixels[2])
    })
    .unwrap();
    assert_eq!(first_pixels, [0, 2, 3]);
}

#[test]
fn domains_that_are_all_null_are_none() {
    let root = tempdir().unwrap();
    let path = root.path().join("all.parquet");
    let names = [
        "T-shirt/top",
        "St. Bernard",
        "US",
        "us",
        "say \"hi\"",
        "HER2-",
    ];
    let null = || Column::Bytes(names.iter().map(|_| None).collect());
    write_parquet(
        &path,
        "message m { optional binary image; optional binary label (UTF8); optional binary domain (UTF8); }",
        None,
        &[vec![
            bytes(&names.map(|_| png(0))),
            Column::Bytes(names.iter().map(|n| Some(n.as_bytes().to_vec())).collect()),
            null(),
        ]],
    );
    let dataset = open(&path, &OpenOptions::default()).unwrap();
    assert!(dataset.domain_names.is_empty() && dataset.warnings.is_empty());
    let labels = dataset.labels();
    let found = labels
        .iter()
        .map(|&l| dataset.class_names[l as usize].as_str());
    assert_eq!(found.collect::<Vec<_>>(), names);
}

#[test]
fn numbers_are_named_by_a_file_beside_them() {
    let root = tempdir().unwrap();
    write_parquet(
        &root.path().join("ids.parquet"),
        BINARY_AND_LONG,
        None,
        &[vec![
            bytes(&[png(0), png(1)]),
            Column::Long(vec![Some(1), Some(0)]),
        ]],
    );
    std::fs::write(root.path().join("classes.txt"), "0 cat\n1 dog\n").unwrap();
    for path in [root.path().to_owned(), root.path().join("ids.parquet")] {
        let dataset = open(&path, &OpenOptions::default()).unwrap();
        assert_eq!(dataset.class_names, ["cat", "dog"]);
        assert_eq!(dataset.labels(), [1, 0]);
    }
}

#[test]
fn splits_in_names_of_any_form_must_be_chosen() {
    let group = |n: usize| {
        vec![vec![
            bytes(&vec![png(0); n]),
            Column::Long(vec![Some(0); n]),
        ]]
    };
    for [train, test] in [
        [
            "data/train-00000-of-00001-b42af1d985bb7f5e.parquet",
            "data/test-00000-of-00001-8d4c9b1f0e2a7c33.parquet",
        ],
        ["x_train.parquet", "x_test.parquet"],
        ["train-0.parquet", "test-0.parquet"],
        ["data/train/part.parquet", "data/test/part.parquet"],
        ["default/train/0000.parquet", "default/test/0000.parquet"],
    ] {
        let root = tempdir().unwrap();
        for (name, rows) in [(train, 2), (test, 3)] {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            write_parquet(&path, BINARY_AND_LONG, Some(TWO_CLASSES), &group(rows));
        }
        let error = open(root.path(), &OpenOptions::default()).unwrap_err();
        assert!(
            matches!(error, DataError::SplitNotChosen { .. }),
            "{train}: {error}"
        );
        let split = |path: &Path, name: &str| {
            let options = OpenOptions {
                split: Some(name.to_owned()),
                ..OpenOptions::default()
            };
            open(path, &options).map(|dataset| dataset.len())
        };
        assert_eq!(split(root.path(), "train").unwrap(), 2, "{train}");
        assert_eq!(split(root.path(), "test").unwrap(), 3, "{train}");
        // A single file is of its own split alone.
        let file = root.path().join(test);
        assert_eq!(split(&file, "test").unwrap(), 3);
        assert!(matches!(
            split(&file, "train"),
            Err(DataError::SplitNotFound { .. })
        ));
    }
}

#[test]
fn a_split_of_a_file_without_one_is_an_error() {
    let root = tempdir().unwrap();
    let path = root.path().join("photos.parquet");
    write_parquet(
        &path,
        BINARY_AND_LONG,
        Some(TWO_CLASSES),
        &[vec![bytes(&[png(0)]), Column::Long(vec![Some(0)])]],
    );
    let options = OpenOptions {
        split: Some("train".to_owned()),
        ..OpenOptions::default()
    };
    for path in [path.as_path(), root.path()] {
        assert!(matches!(
            open(path, &options),
            Err(DataError::SplitNotFound { .. })
        ));
    }
}

#[test]
fn a_table_beside_class_folders_does_not_hide_them() {
    let root = tempdir().unwrap();
    for (i, name) in ["cat/0.png", "dog/1.png"].iter().enumerate() {
        let path = root.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, png(i as u8)).unwrap();
    }
    let texts =
        |texts: &[&str]| Column::Bytes(texts.iter().map(|t| Some(t.as_bytes().to_vec())).collect());
    write_parquet(
        &root.path().join("metadata.parquet"),
        "message m { required binary file_name (UTF8); required binary text (UTF8); required int32 age; }",
        None,
        &[vec![
            texts(&["cat/0.png", "dog/1.png"]),
            texts(&["a cat asleep", "a dog"]),
            Column::Int(vec![3, 4]),
        ]],
    );
    let dataset = open(root.path(), &OpenOptions::default()).unwrap();
    assert_eq!(dataset.class_names, ["cat", "dog"]);
    assert_eq!(dataset.samples[0].caption.as_deref(), Some("a cat asleep"));
    assert!(matches!(
        &dataset.warnings[..],
        [DatasetWarning::ColumnsNotUsed { columns, .. }] if columns == &["age"]
    ));
}

#[test]
fn labels_without_names_are_named_by_number_and_matched_by_alias() {
    let root = tempdir().unwrap();
    let path = root.path().join("ids.parquet");
    write_parquet(
        &path,
        "message m { optional binary img; required int32 label; }",
        None,
        &[vec![
            bytes(&[png(0), png(1), png(2)]),
            Column::Int(vec![10, 9, 10]),
        ]],
    );
    let dataset = open(&path, &OpenOptions::default()).unwrap();
    assert_eq!(dataset.class_names, ["9", "10"]);
    assert_eq!(dataset.labels(), [1, 0, 1]);
    let ten = ClassEntry {
        name: "ten".to_owned(),
        prompt_name: None,
        aliases: vec!["10".to_owned()],
    };
    let options = OpenOptions {
        label_space: Some(LabelSpace::new("test", vec![ten]).unwrap()),
        ..OpenOptions::default()
    };
    assert_eq!(open(&path, &options).unwrap().labels(), [0, 0]);
}

#[test]
fn labels_out_of_range_are_an_error_and_unlabelled_rows_a_warning() {
    let root = tempdir().unwrap();
    let path = root.path().join("labels.parquet");
    let with = |label| {
        write_parquet(
            &path,
            BINARY_AND_LONG,
            Some(TWO_CLASSES),
            &[vec![
                bytes(&[png(0), png(1)]),
                Column::Long(vec![Some(1), label]),
            ]],
        );
        open(&path, &OpenOptions::default())
    };
    for label in [2, -2, i64::MAX, i64::MIN] {
        let error = with(Some(label)).unwrap_err().to_string();
        assert!(
            error.contains(&format!("row 1 of row group 0 has label {label}")),
            "{error}"
        );
        assert!(error.contains("labels.parquet"), "{error}");
    }
    for label in [None, Some(-1)] {
        let dataset = with(label).unwrap();
        assert_eq!(dataset.class_names, ["cat", "dog"]);
        assert_eq!(dataset.labels(), [1]);
        assert!(matches!(
            dataset.warnings[0],
            DatasetWarning::RowsWithout { rows: 1, .. }
        ));
    }
}

#[test]
fn missing_columns_and_bad_metadata_are_named() {
    let root = tempdir().unwrap();
    let path = root.path().join("x.parquet");
    let cases = [
        (
            "message m { optional binary image; optional int64 klass; }",
            None,
            "no column `label`",
        ),
        (
            "message m { optional binary picture; optional int64 label; }",
            None,
            "no column `image`",
        ),
        (BINARY_AND_LONG, Some("{not json"), "metadata is malformed"),
        (
            BINARY_AND_LONG,
            Some(r#"{"info": {"features": {"label": {"_type": "ClassLabel", "names": 3}}}}"#),
            "names of `label`",
        ),
        (
            BINARY_AND_LONG,
            Some(
                r#"{"info": {"features": {"label": {"_type": "ClassLabel", "names": ["a", "a"]}}}}"#,
            ),
            "two classes `a`",
        ),
    ];
    for (schema, metadata, expected) in cases {
        let group = vec![bytes(&[png(0)]), Column::Long(vec![Some(0)])];
        write_parquet(&path, schema, metadata, &[group]);
        let error = open(&path, &OpenOptions::default()).unwrap_err();
        assert!(matches!(error, DataError::Parquet { .. }));
        assert!(error.to_string().contains(expected), "{error}");
    }
    write_parquet(&path, BINARY_AND_LONG, Some(TWO_CLASSES), &[]);
    assert!(matches!(
        open(&path, &OpenOptions::default()),
        Err(DataError::NoSamples { .. })
    ));
}

#[test]
fn shards_that_name_other_classes_are_an_error() {
    let root = tempdir().unwrap();
    let group = || vec![vec![bytes(&[png(0)]), Column::Long(vec![Some(0)])]];
    write_parquet(
        &root.path().join("a.parquet"),
        BINARY_AND_LONG,
        Some(TWO_CLASSES),
        &group(),
    );
    write_parquet(
        &root.path().join("b.parquet"),
        BINARY_AND_LONG,
        None,
        &group(),
    );
    let error = open(root.path(), &OpenOptions::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("names other classes"), "{error}");
}

#[test]
fn null_and_bad_pictures_are_skipped() {
    let root = tempdir().unwrap();
    let path = root.path().join("x.parquet");
    let pictures = vec![
        Some(png(0)),
        None,
        Some(vec![]),
        Some(b"<html>".to_vec()),
        Some(png(4)),
    ];
    write_parquet(
        &path,
        BINARY_AND_LONG,
        Some(TWO_CLASSES),
        &[vec![
            Column::Bytes(pictures),
            Column::Long(vec![Some(0); 5]),
        ]],
    );
    let dataset = open(&path, &OpenOptions::default()).unwrap();
    let mut delivered = Vec::new();
    let report = decode(&dataset, &DecodeOptions::default(), |i, _| {
        delivered.push(i)
    })
    .unwrap();
    assert_eq!(delivered, [0, 4]);
    let reasons: Vec<SkipReason> = report.skipped.iter().map(|s| s.reason).collect();
    assert_eq!(
        reasons,
        [
            SkipReason::Unreadable,
            SkipReason::Empty,
            SkipReason::UnsupportedFormat
        ]
    );
    assert!(
        report.skipped[1]
            .source
            .ends_with("x.parquet (row group 0, row 2)")
    );
}

#[test]
fn splits_of_a_folder_must_be_chosen() {
    let root = tempdir().unwrap();
    let group = || vec![vec![bytes(&[png(0)]), Column::Long(vec![Some(0)])]];
    std::fs::create_dir(root.path().join("data")).unwrap();
    for name in ["data/train.parquet", "data/test.parquet"] {
        write_parquet(
            &root.path().join(name),
            BINARY_AND_LONG,
            Some(TWO_CLASSES),
            &group(),
        );
    }
    let error = open(root.path(), &OpenOptions::default()).unwrap_err();
    assert!(
        matches!(error, DataError::SplitNotChosen { ref splits, .. } if splits == &["test", "train"])
    );
    let options = OpenOptions {
        split: Some("test".to_owned()),
        ..OpenOptions::default()
    };
    assert_eq!(open(root.path(), &options).unwrap().len(), 1);
}

/// Damaged files fail with an error that names the file, or lose pictures one by one.
fn check_damaged(bytes: &[u8]) {
    let root = tempdir().unwrap();
    let path = root.path().join("damaged.parquet");
    write(&path, bytes);
    match open(&path, &OpenOptions::default()) {
        Ok(dataset) => {
            let report = decode(&dataset, &DecodeOptions::default(), |_, _| {}).unwrap();
            assert_eq!(report.decoded + report.skipped.len(), dataset.len());
        }
        Err(error) => assert!(error.to_string().contains("damaged.parquet"), "{error}"),
    }
}

/// A negative number in the footer makes the Parquet library panic, not fail.
#[test]
fn every_number_of_the_footer_may_be_negative() {
    let bytes = std::fs::read(golden().join("hub/train-00001-of-00002.parquet")).unwrap();
    for position in bytes.len() / 2..bytes.len() {
        let mut damaged = bytes.clone();
        // -1 as a zigzag varint.
        damaged[position] = 1;
        check_damaged(&damaged);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_files_never_panic(cut in 0.0..1.2f64, flips in prop::collection::vec((0.0..1.0f64, any::<u8>()), 0..6)) {
        let shard = golden().join("hub/train-00000-of-00002.parquet");
        let mut bytes = std::fs::read(shard).unwrap();
        for (position, value) in flips {
            let position = (position * bytes.len() as f64) as usize;
            bytes[position] = value;
        }
        let cut = (cut * bytes.len() as f64) as usize;
        bytes.truncate(cut);
        check_damaged(&bytes);
    }
}

#[test]
fn a_column_of_splits_must_be_chosen_from() {
    const SCHEMA: &str = "message m { optional binary image; optional binary label (STRING); optional binary split (STRING); }";
    let folder = tempdir().unwrap();
    let path = folder.path().join("all.parquet");
    let group = vec![
        bytes(&[png(1), png(2), png(3)]),
        bytes(&["cat", "dog", "cat"]),
        bytes(&["train", "train", "test"]),
    ];
    write_parquet(&path, SCHEMA, None, &[group]);
    let read = |split: Option<&str>| {
        let options = OpenOptions {
            split: split.map(str::to_owned),
            ..OpenOptions::default()
        };
        open(&path, &options)
    };
    let error = read(None).unwrap_err();
    assert!(matches!(error, DataError::SplitNotChosen { .. }), "{error}");
    assert_eq!(read(Some("train")).unwrap().len(), 2);
    assert_eq!(read(Some("test")).unwrap().class_names, ["cat"]);
    let error = read(Some("dev")).unwrap_err();
    assert!(matches!(error, DataError::SplitNotFound { .. }), "{error}");
}

#[test]
fn an_empty_label_is_none() {
    const SCHEMA: &str = "message m { optional binary image; optional binary label (STRING); }";
    let folder = tempdir().unwrap();
    let path = folder.path().join("all.parquet");
    let group = vec![bytes(&[png(1), png(2), png(3)]), bytes(&["cat", "", " "])];
    write_parquet(&path, SCHEMA, None, &[group]);
    let dataset = open(&path, &OpenOptions::default()).unwrap();
    assert_eq!(dataset.class_names, ["cat"]);
    assert!(matches!(
        dataset.warnings[0],
        DatasetWarning::RowsWithout { rows: 2, .. }
    ));
}

#[test]
fn columns_have_the_names_that_they_have_in_lists() {
    let root = tempdir().unwrap();
    for (label, split) in [
        ("class", "subset"),
        ("category", "partition"),
        ("target", "split"),
    ] {
        let path = root.path().join(format!("{label}.parquet"));
        let schema = format!(
            "message m {{ optional binary image; optional binary {label} (UTF8); optional binary {split} (UTF8); }}"
        );
        write_parquet(
            &path,
            &schema,
            None,
            &[vec![
                bytes(&[png(0), png(1)]),
                bytes(&["dog", "cat"]),
                bytes(&["train", "test"]),
            ]],
        );
        let told = open(&path, &OpenOptions::default()).unwrap_err();
        assert!(matches!(told, DataError::SplitNotChosen { .. }), "{told}");
        let options = OpenOptions {
            split: Some("train".to_owned()),
            ..OpenOptions::default()
        };
        let dataset = open(&path, &options).unwrap();
        assert_eq!(
            (dataset.class_names.as_slice(), dataset.len()),
            (&["dog".to_owned()][..], 1)
        );
        let places: Vec<&str> = dataset.parts.iter().map(|p| p.place.as_str()).collect();
        assert_eq!(
            places,
            [format!("column `{split}`"), format!("column `{label}`")]
        );
    }
}

#[test]
fn columns_that_are_not_used_are_named_once_for_all_shards() {
    let root = tempdir().unwrap();
    let schema = "message m { optional group image { optional binary bytes; optional binary path (UTF8); } \
        optional binary label (UTF8); optional binary photographer (UTF8); optional int64 year; }";
    let hub = |path: &Path| {
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let file = std::fs::File::create(path).unwrap();
        let mut writer = SerializedFileWriter::new(file, schema, Default::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        for (value, level) in [
            (png(1), 2),
            (b"1.png".into(), 2),
            (b"cat".into(), 1),
            (b"x".into(), 1),
        ] {
            let mut column = group.next_column().unwrap().unwrap();
            let values = [ByteArray::from(value)];
            let typed = column.typed::<ByteArrayType>();
            typed.write_batch(&values, Some(&[level]), None).unwrap();
            column.close().unwrap();
        }
        let mut column = group.next_column().unwrap().unwrap();
        let typed = column.typed::<Int64Type>();
        typed.write_batch(&[1990], Some(&[1]), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
    };
    for shard in ["a.parquet", "b.parquet"] {
        hub(&root.path().join(shard));
    }
    let dataset = open(root.path(), &OpenOptions::default()).unwrap();
    assert_eq!(dataset.len(), 2);
    assert_eq!(
        dataset.warnings,
        [DatasetWarning::ColumnsNotUsed {
            path: root.path().join("a.parquet"),
            columns: vec!["photographer".to_owned(), "year".to_owned()]
        }]
    );
}
