//! Class folders and domain folders.
#![allow(clippy::unwrap_used)]

mod common;

use common::{png, summary, write};
use promptfed_data::{DataError, DatasetWarning, Layout, OpenOptions, open};
use promptfed_prompts::{ClassEntry, LabelSpace};
use tempfile::tempdir;

fn classes(list: &[(&str, &[&str])]) -> OpenOptions {
    let entry = |(name, aliases): &(&str, &[&str])| ClassEntry {
        name: (*name).to_owned(),
        prompt_name: None,
        aliases: aliases.iter().map(|a| (*a).to_owned()).collect(),
    };
    let classes = list.iter().map(entry).collect();
    OpenOptions {
        label_space: Some(LabelSpace::new("test", classes).unwrap()),
        ..OpenOptions::default()
    }
}

#[test]
fn class_folders_are_sorted_by_name_and_files_by_path() {
    let root = tempdir().unwrap();
    for file in ["dog/2.png", "dog/10.png", "cat/1.png"] {
        write(root.path().join(file), png(1));
    }
    let dataset = open(root.path(), &OpenOptions::default()).unwrap();
    assert_eq!(dataset.class_names, ["cat", "dog"]);
    assert!(dataset.domain_names.is_empty());
    let files: Vec<String> = summary(&dataset).into_iter().map(|s| s.2).collect();
    assert_eq!(files, ["1.png", "10.png", "2.png"]);
    assert_eq!(dataset.labels(), [0, 1, 1]);
}

#[test]
fn wnids_get_names_from_the_class_list_in_its_order() {
    let root = tempdir().unwrap();
    for file in [
        "n01440764/a.JPEG",
        "n03394916/b.JPEG",
        "n99999999/c.JPEG",
        "n99999999/d.JPEG",
    ] {
        write(root.path().join(file), png(1));
    }
    let options = classes(&[
        ("French horn", &["n03394916"]),
        ("church", &["n03028079"]),
        ("tench", &["n01440764"]),
    ]);
    let dataset = open(root.path(), &options).unwrap();
    assert_eq!(dataset.class_names, ["French horn", "church", "tench"]);
    assert_eq!(dataset.labels(), [2, 0]);
    assert_eq!(
        dataset.warnings,
        [DatasetWarning::ClassNotListed {
            class: "n99999999".to_owned(),
            samples: 2
        }]
    );
}

#[test]
fn wnids_get_names_from_a_mapping_file_of_the_root() {
    let root = tempdir().unwrap();
    for file in ["train/n01440764/a.png", "train/n03394916/b.png"] {
        write(root.path().join(file), png(1));
    }
    write(
        root.path().join("wnids.txt"),
        "n01440764 tench, Tinca tinca\nn03394916 French horn\n",
    );
    let options = OpenOptions {
        split: Some("train".to_owned()),
        ..OpenOptions::default()
    };
    let dataset = open(root.path(), &options).unwrap();
    assert_eq!(dataset.class_names, ["French horn", "tench"]);
    assert_eq!(dataset.labels(), [1, 0]);
}

#[test]
fn classes_that_match_nothing_are_named_in_the_error() {
    let root = tempdir().unwrap();
    write(root.path().join("cat/a.png"), png(1));
    let error = open(root.path(), &classes(&[("tench", &[])])).unwrap_err();
    assert!(matches!(error, DataError::NoSamples { .. }));
    let message = error.to_string();
    assert!(
        message.contains("cat") && message.contains("tench"),
        "{message}"
    );
}

#[test]
fn domain_folders_are_recognised() {
    let root = tempdir().unwrap();
    for file in ["sketch/dog/1.png", "photo/dog/2.png", "photo/cat/3.png"] {
        write(root.path().join(file), png(1));
    }
    let dataset = open(root.path(), &OpenOptions::default()).unwrap();
    assert_eq!(dataset.class_names, ["cat", "dog"]);
    assert_eq!(dataset.domain_names, ["photo", "sketch"]);
    let text = |s: &str| s.to_owned();
    assert_eq!(
        summary(&dataset),
        [
            (text("cat"), Some(text("photo")), text("3.png")),
            (text("dog"), Some(text("photo")), text("2.png")),
            (text("dog"), Some(text("sketch")), text("1.png")),
        ]
    );
}

#[test]
fn splits_are_never_mixed() {
    let root = tempdir().unwrap();
    for file in ["train/cat/1.png", "val/cat/2.png"] {
        write(root.path().join(file), png(1));
    }
    let error = open(root.path(), &OpenOptions::default()).unwrap_err();
    assert!(
        matches!(error, DataError::SplitNotChosen { ref splits, .. } if splits == &["train", "val"])
    );
    let mut options = OpenOptions {
        split: Some("val".to_owned()),
        ..OpenOptions::default()
    };
    assert_eq!(summary(&open(root.path(), &options).unwrap())[0].2, "2.png");
    options.split = Some("test".to_owned());
    assert!(matches!(
        open(root.path(), &options),
        Err(DataError::SplitNotFound { .. })
    ));
}

#[test]
fn a_class_may_be_called_train_where_that_is_certain() {
    let root = tempdir().unwrap();
    for file in ["train/1.png", "boat/2.png"] {
        write(root.path().join(file), png(1));
    }
    // As in `train/` and `extra/`, the two could be parts of one data set.
    assert!(matches!(
        open(root.path(), &OpenOptions::default()),
        Err(DataError::UnclearLayout { .. })
    ));
    let explicit = OpenOptions {
        layout: Layout::ClassFolders,
        ..OpenOptions::default()
    };
    for options in [explicit, classes(&[("boat", &[]), ("train", &[])])] {
        let dataset = open(root.path(), &options).unwrap();
        assert_eq!(dataset.class_names, ["boat", "train"]);
        assert_eq!(dataset.labels(), [0, 1]);
    }
    for file in ["car/1.png", "bus/2.png"] {
        write(root.path().join(file), png(1));
    }
    let dataset = open(root.path(), &OpenOptions::default()).unwrap();
    assert_eq!(dataset.class_names, ["boat", "bus", "car", "train"]);
}

#[test]
fn side_cars_and_hidden_files_are_no_samples() {
    let root = tempdir().unwrap();
    for file in [
        "cat/1.png",
        "cat/1.txt",
        "cat/1.json",
        "cat/.2.png",
        "cat/.DS_Store",
        "cat/Thumbs.db",
        "dog/5.png",
        ".git/3.png",
        "__MACOSX/4.png",
    ] {
        write(root.path().join(file), png(1));
    }
    let dataset = open(root.path(), &OpenOptions::default()).unwrap();
    assert_eq!(dataset.class_names, ["cat", "dog"]);
    assert_eq!(dataset.len(), 2);
}

#[test]
fn pictures_without_extension_are_recognised_by_content() {
    let root = tempdir().unwrap();
    write(root.path().join("cat/0001"), png(1));
    write(root.path().join("dog/0002"), png(1));
    assert_eq!(open(root.path(), &OpenOptions::default()).unwrap().len(), 2);
}

#[test]
fn folders_without_pictures_are_warned_of() {
    let root = tempdir().unwrap();
    for file in ["cat/1.png", "dog/3.png", "cat/more/2.png"] {
        write(root.path().join(file), png(1));
    }
    std::fs::create_dir(root.path().join("empty")).unwrap();
    let dataset = open(root.path(), &OpenOptions::default()).unwrap();
    assert_eq!(dataset.class_names, ["cat", "dog"]);
    assert_eq!(
        dataset.warnings,
        [
            DatasetWarning::PicturesElsewhere {
                path: root.path().join("cat/more"),
                pictures: 1
            },
            DatasetWarning::FolderIgnored {
                path: root.path().join("empty")
            }
        ]
    );
}

#[test]
fn what_is_no_data_set_is_described() {
    let root = tempdir().unwrap();
    let message = |path: &std::path::Path| match open(path, &OpenOptions::default()) {
        Err(error @ DataError::UnknownLayout { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(message(root.path()).contains("an empty folder"));
    write(root.path().join("src/main.rs"), "fn main() {}");
    let text = message(root.path());
    assert!(text.contains("1 folders without pictures"), "{text}");
    assert!(
        text.contains("Parquet") && text.contains("class folders"),
        "{text}"
    );
    write(root.path().join("1.png"), png(1));
    assert!(message(root.path()).contains("in no class folder"));
    write(root.path().join("notes.txt"), "some notes\n");
    assert!(message(&root.path().join("notes.txt")).contains("neither Parquet nor a list"));
    let absent = root.path().join("absent");
    let error = open(&absent, &OpenOptions::default()).unwrap_err();
    assert!(error.to_string().contains("absent"), "{error}");
}

#[test]
fn a_forced_layout_is_not_guessed() {
    let root = tempdir().unwrap();
    for file in ["photo/dog/1.png", "sketch/dog/2.png", "sketch/cat/3.png"] {
        write(root.path().join(file), png(1));
    }
    let mut options = OpenOptions {
        layout: Layout::ClassFolders,
        ..OpenOptions::default()
    };
    // As torchvision: the first level is the classes, whatever lies below.
    let dataset = open(root.path(), &options).unwrap();
    assert_eq!(dataset.class_names, ["photo", "sketch"]);
    assert_eq!(dataset.labels(), [0, 1, 1]);
    assert!(dataset.domain_names.is_empty());
    options.layout = Layout::Parquet;
    assert!(open(root.path(), &options).is_err());
    options.layout = Layout::DomainNetLists;
    assert!(open(root.path(), &options).is_err());
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_names_need_not_be_text() {
    use std::ffi::OsStr;
    use std::os::unix::{ffi::OsStrExt, fs::symlink};

    let root = tempdir().unwrap();
    let elsewhere = tempdir().unwrap();
    write(elsewhere.path().join("1.png"), png(1));
    write(root.path().join("dog/2.png"), png(2));
    write(
        root.path()
            .join("dog")
            .join(OsStr::from_bytes(b"\xff\xfe.png")),
        png(3),
    );
    symlink(elsewhere.path(), root.path().join("cat")).unwrap();
    symlink(
        elsewhere.path().join("1.png"),
        root.path().join("dog/link.png"),
    )
    .unwrap();
    symlink("nowhere.png", root.path().join("dog/broken.png")).unwrap();
    let dataset = open(root.path(), &OpenOptions::default()).unwrap();
    assert_eq!(dataset.class_names, ["cat", "dog"]);
    assert_eq!(dataset.labels(), [0, 1, 1, 1]);
    assert_eq!(
        dataset.warnings,
        [DatasetWarning::DanglingLink {
            path: root.path().join("dog/broken.png")
        }]
    );
    let report = promptfed_data::decode(&dataset, &Default::default(), |_, _| {}).unwrap();
    assert_eq!((report.decoded, report.skipped.len()), (4, 0));

    write(
        root.path().join(OsStr::from_bytes(b"\xff")).join("1.png"),
        png(1),
    );
    assert!(matches!(
        open(root.path(), &OpenOptions::default()),
        Err(DataError::NameNotUtf8 { .. })
    ));
}
