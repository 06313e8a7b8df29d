//! DomainNet's list files.
#![allow(clippy::unwrap_used)]

mod common;

use common::{summary, write};
use promptfed_data::{DataError, Dataset, DatasetWarning, ImageSource, OpenOptions, Result, open};
use promptfed_prompts::LabelSpace;
use tempfile::tempdir;

fn open_split(path: &std::path::Path, split: &str) -> Result<Dataset> {
    let options = OpenOptions {
        split: Some(split.to_owned()),
        ..OpenOptions::default()
    };
    open(path, &options)
}

#[test]
fn lists_of_all_domains_are_read_with_classes_by_id() {
    let root = tempdir().unwrap();
    write(
        root.path().join("clipart_train.txt"),
        "clipart/the_zebra/a b.jpg 0\nclipart/axe/c.jpg 11\n\n",
    );
    write(root.path().join("real_train.txt"), "real/axe/d.jpg 11\r\n");
    write(root.path().join("real_test.txt"), "real/axe/e.jpg 11\n");
    let dataset = open_split(root.path(), "train").unwrap();
    assert_eq!(dataset.class_names, ["the_zebra", "axe"]);
    assert_eq!(dataset.domain_names, ["clipart", "real"]);
    let text = |s: &str| s.to_owned();
    assert_eq!(
        summary(&dataset),
        [
            (text("the_zebra"), Some(text("clipart")), text("a b.jpg")),
            (text("axe"), Some(text("clipart")), text("c.jpg")),
            (text("axe"), Some(text("real")), text("d.jpg")),
        ]
    );
    assert_eq!(
        dataset.samples[0].source,
        ImageSource::File(root.path().join("clipart/the_zebra/a b.jpg"))
    );
    assert!(matches!(
        open(root.path(), &OpenOptions::default()),
        Err(DataError::SplitNotChosen { .. })
    ));
    assert!(matches!(
        open_split(root.path(), "val"),
        Err(DataError::SplitNotFound { .. })
    ));
}

#[test]
fn a_single_list_can_be_opened_and_filtered_by_class() {
    let root = tempdir().unwrap();
    let list = root.path().join("clipart_test.txt");
    write(
        &list,
        "clipart/aircraft_carrier/x.jpg 0\nclipart/axe/y.jpg 11\nclipart/zebra/z.jpg 9\n",
    );
    let options = OpenOptions {
        label_space: Some(LabelSpace::from_names("test", ["axe", "aircraft carrier"]).unwrap()),
        ..OpenOptions::default()
    };
    let dataset = open(&list, &options).unwrap();
    assert_eq!(dataset.class_names, ["axe", "aircraft carrier"]);
    assert_eq!(dataset.labels(), [1, 0]);
    assert_eq!(
        dataset.warnings,
        [DatasetWarning::ClassNotListed {
            class: "zebra".to_owned(),
            samples: 1
        }]
    );
}

#[test]
fn malformed_lines_are_named() {
    let root = tempdir().unwrap();
    let list = root.path().join("clipart_train.txt");
    for (line, expected) in [
        ("clipart/axe/b.jpg", "no label"),
        ("clipart/axe/b.jpg x", "no label id"),
        ("../axe/b.jpg 11", "leads out"),
        ("/axe/b.jpg 11", "leads out"),
        ("b.jpg 11", "no class folder"),
        (
            "clipart/saw/b.jpg 11",
            "label 11 is `saw` here and `axe` before",
        ),
        ("clipart/axe/\u{fffd}.jpg 4294967296", "no label id"),
    ] {
        write(&list, format!("clipart/axe/a.jpg 11\n{line}\n"));
        let error = open(&list, &OpenOptions::default()).unwrap_err();
        assert!(
            matches!(error, DataError::ListLine { line: 2, .. }),
            "{error}"
        );
        assert!(error.to_string().contains(expected), "{error}");
    }
    write(&list, b"clipart/axe/a.jpg 11\nclipart/axe/\xff.jpg 11\n");
    let error = open(&list, &OpenOptions::default()).unwrap_err();
    assert!(error.to_string().contains("not UTF-8"), "{error}");
    let mut long = b"clipart/axe/a.jpg 11\n".to_vec();
    long.extend(vec![b'a'; 100_000]);
    write(&list, long);
    let error = open(&list, &OpenOptions::default()).unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
}
