//! Which folders are classes, and what is refused because it could be otherwise.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{auto, summary, tree, with_layout, with_split, write};
use promptfed_data::{DataError, Dataset, DatasetWarning, Layout, OpenOptions, Result, open};
use promptfed_prompts::LabelSpace;
use tempfile::tempdir;

fn with_classes(path: &Path, classes: &[&str]) -> Result<Dataset> {
    let options = OpenOptions {
        label_space: Some(LabelSpace::from_names("test", classes.iter().copied()).unwrap()),
        ..OpenOptions::default()
    };
    open(path, &options)
}

#[test]
fn what_could_be_otherwise_is_refused_with_the_choices() {
    for (files, why) in [
        // Patients inside classes.
        (
            &[
                "benign/P0012/1.png",
                "benign/P0044/2.png",
                "malignant/P0101/3.png",
            ][..],
            "look like ids",
        ),
        (
            &[
                "benign/anna/1.png",
                "benign/bert/2.png",
                "malignant/carl/3.png",
                "malignant/dora/4.png",
            ],
            "share their names",
        ),
        (
            &[
                "benign/1/1.png",
                "benign/2/2.png",
                "malignant/1/3.png",
                "malignant/2/4.png",
            ],
            "look like ids",
        ),
        (
            &[
                "benign/patient1/1.png",
                "benign/patient2/2.png",
                "malignant/patient1/3.png",
                "malignant/patient2/4.png",
            ],
            "look like ids",
        ),
        // Classes inside patients.
        (
            &[
                "P0012/left/1.png",
                "P0012/right/2.png",
                "P0044/left/3.png",
                "P0044/right/4.png",
            ],
            "look like ids",
        ),
        // A folder of images in every class.
        (
            &["cat/images/1.png", "dog/images/2.png"],
            "every second-level folder",
        ),
        (
            &[
                "cat/images/1.png",
                "cat/masks/2.png",
                "dog/images/3.png",
                "dog/masks/4.png",
            ],
            "part of a data set",
        ),
        // Only one class, or one domain.
        (&["cat/1.png", "cat/2.png"], "only one folder"),
        (
            &["photo/cat/1.png", "photo/dog/2.png"],
            "in one folder, `photo`",
        ),
        (&["images/1.png", "labels/2.png"], "part of a data set"),
        (
            &["P0012/1.png", "P0044/2.png", "P0101/3.png"],
            "look like ids",
        ),
        (&["a/b/c/1.png", "a/d/c/2.png"], "3 folders deep"),
        (
            &[
                "train/cat/1.png",
                "train/dog/2.png",
                "extra/cat/3.png",
                "extra/dog/4.png",
            ],
            "`train`",
        ),
    ] {
        let root = tree(files);
        let error = auto(root.path()).unwrap_err();
        assert!(
            matches!(error, DataError::UnclearLayout { .. }),
            "{files:?}: {error}"
        );
        let told = error.to_string();
        assert!(told.contains(why), "{files:?}: {told}");
        for remedy in ["--layout class-folders", "--label-space", "classes.tsv"] {
            assert!(told.contains(remedy), "{told}");
        }
        // With the layout, the first level is the classes.
        let first = |file: &&str| file.split('/').next().unwrap().to_owned();
        let mut classes: Vec<String> = files.iter().map(first).collect();
        classes.sort();
        classes.dedup();
        if !told.contains("`train`") {
            let dataset = with_layout(root.path(), Layout::ClassFolders).unwrap();
            assert_eq!(dataset.class_names, classes);
            assert_eq!(dataset.len(), files.len());
        }
    }
}

#[test]
fn a_label_space_tells_the_level_of_the_classes() {
    let root = tree(&[
        "benign/P0012/1.png",
        "benign/P0044/2.png",
        "malignant/P0101/3.png",
    ]);
    let dataset = with_classes(root.path(), &["malignant", "benign"]).unwrap();
    assert_eq!(dataset.labels(), [1, 1, 0]);
    assert!(dataset.domain_names.is_empty());
    assert_eq!(
        dataset.taken_for(),
        "first level: class (benign, malignant); second level: not used (P0012, P0044, P0101)"
    );

    let root = tree(&["photo/cat/1.png", "photo/dog/2.png"]);
    let dataset = with_classes(root.path(), &["dog", "cat"]).unwrap();
    assert_eq!(dataset.labels(), [1, 0]);
    assert_eq!(dataset.domain_names, ["photo"]);

    // A client may hold one class alone.
    let root = tree(&["cat/1.png", "cat/2.png"]);
    assert_eq!(
        with_classes(root.path(), &["cat", "dog"]).unwrap().labels(),
        [0, 0]
    );

    // Ids in front of known classes would become domains.
    let root = tree(&[
        "P0012/benign/1.png",
        "P0044/benign/2.png",
        "P0044/malignant/3.png",
    ]);
    assert!(matches!(
        with_classes(root.path(), &["benign", "malignant"]),
        Err(DataError::UnclearLayout { .. })
    ));
}

#[test]
fn a_names_file_tells_the_level_of_the_classes() {
    let root = tree(&[
        "train/n01443537/images/1.png",
        "train/n01629819/images/2.png",
        "val/images/3.png",
    ]);
    let words = "n01443537\tgoldfish, Carassius auratus\nn01629819\tEuropean fire salamander\nn01644900\ttailed frog\n";
    write(root.path().join("words.txt"), words);
    write(root.path().join("wnids.txt"), "n01443537\nn01629819\n");
    let dataset = with_split(root.path(), "train").unwrap();
    assert_eq!(
        dataset.class_names,
        ["European fire salamander", "goldfish"]
    );
    assert_eq!(dataset.labels(), [1, 0]);
    assert!(dataset.warnings.is_empty(), "{:?}", dataset.warnings);
    // Also where the split's folder itself is opened.
    let inside = auto(&root.path().join("train")).unwrap();
    assert_eq!(inside.class_names, dataset.class_names);
    assert!(with_split(root.path(), "val").is_err());
}

#[test]
fn names_of_a_job_come_back_as_they_were() {
    let root = tree(&[
        "images/T-shirt%2Ftop/1.png",
        "images/US/2.png",
        "images/us-2/3.png",
    ]);
    write(
        root.path().join("images/classes.tsv"),
        "folder\tname\nT-shirt%2Ftop\tT-shirt/top, blue\nus-2\tus\nUS\tUS\n",
    );
    for path in [root.path().to_owned(), root.path().join("images")] {
        let dataset = auto(&path).unwrap();
        assert_eq!(dataset.class_names, ["T-shirt/top, blue", "US", "us"]);
        assert!(dataset.warnings.is_empty(), "{:?}", dataset.warnings);
    }
}

#[test]
fn an_index_of_names_is_no_mapping() {
    let root = tree(&["cat/1.png", "dog/2.png"]);
    write(root.path().join("classes.txt"), "cat 0\ndog 400\n");
    let dataset = auto(root.path()).unwrap();
    assert_eq!(dataset.class_names, ["cat", "dog"]);
    write(
        root.path().join("classes.txt"),
        "cat 0\ndog 400\nwhat is this\n",
    );
    let warnings = auto(root.path()).unwrap().warnings;
    assert!(
        warnings[0].to_string().contains("classes.txt:3"),
        "{warnings:?}"
    );
}

#[test]
fn numbers_are_classes_for_training_and_named_where_a_file_names_them() {
    let root = tree(&["0/1.png", "1/2.png", "-1/3.png"]);
    let dataset = auto(root.path()).unwrap();
    assert_eq!(dataset.class_names, ["-1", "0", "1"]);
    // `-1` is not `1`.
    let dataset = with_classes(root.path(), &["0", "1"]).unwrap();
    assert_eq!(dataset.len(), 2);
    assert_eq!(
        dataset.warnings,
        [DatasetWarning::ClassNotListed {
            class: "-1".to_owned(),
            samples: 1
        }]
    );
    let root = tree(&["0/1.png", "1/2.png"]);
    write(root.path().join("class_names.txt"), "cat\ndog\n");
    assert_eq!(auto(root.path()).unwrap().class_names, ["cat", "dog"]);
}

#[test]
fn one_stray_picture_or_folder_does_not_decide() {
    let mut files: Vec<String> = ["photo", "sketch"]
        .iter()
        .flat_map(|d| ["cat", "dog"].map(|c| format!("{d}/{c}/1.png")))
        .collect();
    files.extend(["photo/stray.png", "stray.png", "more/1.png"].map(str::to_owned));
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let root = tree(&files);
    let dataset = auto(root.path()).unwrap();
    assert_eq!(dataset.class_names, ["cat", "dog"]);
    assert_eq!(dataset.domain_names, ["photo", "sketch"]);
    let told = DatasetWarning::by_kind(&dataset.warnings);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("3 pictures left out"), "{told:?}");
}

#[test]
fn most_pictures_left_out_is_an_error() {
    let root = tree(&["cat/1.png", "dog/2.png", "3.png", "4.png", "5.png"]);
    let error = with_layout(root.path(), Layout::ClassFolders).unwrap_err();
    assert!(matches!(
        error,
        DataError::MostLeftOut {
            left_out: 3,
            pictures: 5,
            ..
        }
    ));
    assert!(auto(root.path()).is_err());
}

#[test]
fn two_splits_anywhere_must_be_chosen() {
    for (files, of_test) in [
        (
            &[
                "train/cat/1.png",
                "train/dog/2.png",
                "test/cat/3.png",
                "annotations/4.png",
            ][..],
            "3.png",
        ),
        (
            &["cat/train/1.png", "cat/test/3.png", "dog/train/2.png"],
            "3.png",
        ),
        (
            &[
                "photo/train/cat/1.png",
                "photo/test/cat/3.png",
                "sketch/train/cat/2.png",
            ],
            "3.png",
        ),
        (
            &["Training/cat/1.png", "Test/cat/3.png", "Training/dog/4.png"],
            "3.png",
        ),
    ] {
        let root = tree(files);
        let error = auto(root.path()).unwrap_err();
        assert!(
            matches!(error, DataError::SplitNotChosen { .. }),
            "{files:?}: {error}"
        );
        let options = OpenOptions {
            split: Some("test".to_owned()),
            label_space: Some(LabelSpace::from_names("test", ["cat", "dog"]).unwrap()),
            ..OpenOptions::default()
        };
        let found = summary(&open(root.path(), &options).unwrap());
        assert_eq!(found.len(), 1, "{files:?}");
        assert_eq!(found[0].2, of_test);
        assert!(matches!(
            with_split(root.path(), "dev"),
            Err(DataError::SplitNotFound { .. })
        ));
    }
}

#[test]
fn classes_may_be_called_like_splits_where_the_layout_is_said() {
    let root = tree(&["public/1.png", "private/2.png", "test/3.png"]);
    assert!(matches!(
        auto(root.path()),
        Err(DataError::SplitNotChosen { .. })
    ));
    let dataset = with_layout(root.path(), Layout::ClassFolders).unwrap();
    assert_eq!(dataset.class_names, ["private", "public", "test"]);

    let root = tree(&[
        "photo/public/1.png",
        "photo/private/2.png",
        "sketch/public/3.png",
    ]);
    let dataset = with_layout(root.path(), Layout::DomainFolders).unwrap();
    assert_eq!(dataset.class_names, ["private", "public"]);
    assert_eq!(dataset.domain_names, ["photo", "sketch"]);

    // Below the classes are patients, which no two classes share.
    let root = tree(&["public/anna/1.png", "private/bert/2.png"]);
    let dataset = with_layout(root.path(), Layout::ClassFolders).unwrap();
    assert_eq!(dataset.class_names, ["private", "public"]);

    // The same classes below both: these are splits after all.
    let root = tree(&[
        "train/cat/1.png",
        "train/dog/2.png",
        "val/cat/3.png",
        "val/dog/4.png",
    ]);
    assert!(matches!(
        with_layout(root.path(), Layout::ClassFolders),
        Err(DataError::SplitNotChosen { .. })
    ));
}

#[test]
fn captions_and_labels_come_from_tables_beside_the_pictures() {
    let root = tree(&["red/1.png", "blue/2.png"]);
    let table = "\u{feff}file_name,text,age\r\nred/1.png,\"one, red\",4\r\n./blue/2.png,two,5\r\nblue/9.png,gone,1\r\n";
    write(root.path().join("metadata.csv"), table);
    let dataset = auto(root.path()).unwrap();
    let captions: Vec<_> = dataset
        .samples
        .iter()
        .map(|s| s.caption.as_deref())
        .collect();
    assert_eq!(captions, [Some("two"), Some("one, red")]);
    let told = DatasetWarning::by_kind(&dataset.warnings).join("\n");
    assert!(
        told.contains("age") && told.contains("blue/9.png"),
        "{told}"
    );

    // Without class folders, the labels of the table count.
    let root = tree(&["images/1.png", "images/2.png", "images/3.png"]);
    write(
        root.path().join("metadata.jsonl"),
        "{\"file_name\": \"images/1.png\", \"label\": \"dog\", \"text\": \"a dog\"}\n\
         {\"file_name\": \"images/2.png\", \"label\": \"cat\"}\n",
    );
    let dataset = auto(root.path()).unwrap();
    assert_eq!(dataset.class_names, ["cat", "dog"]);
    assert_eq!(dataset.labels(), [1, 0]);
    assert_eq!(dataset.samples[0].caption.as_deref(), Some("a dog"));
    assert_eq!(dataset.warnings.len(), 1);

    write(
        root.path().join("metadata.jsonl"),
        b"{\"file_name\": \"caf\xe9\"}\n",
    );
    let told = auto(root.path()).unwrap_err().to_string();
    assert!(
        told.contains("metadata.jsonl") && told.contains("Windows-1252"),
        "{told}"
    );
}

#[test]
fn stores_of_other_programs_are_named_with_the_way_to_convert_them() {
    let root = tempdir().unwrap();
    write(root.path().join("dataset_dict.json"), "{}");
    write(
        root.path().join("train/data-00000-of-00001.arrow"),
        "ARROW1",
    );
    let told = auto(root.path()).unwrap_err().to_string();
    assert!(
        told.contains("load_from_disk") && told.contains("to_parquet"),
        "{told}"
    );
    let archive = root.path().join("pictures.zip");
    write(&archive, "PK");
    assert!(auto(&archive).unwrap_err().to_string().contains("unpack"));
}

#[test]
fn files_that_are_not_read_are_named() {
    let root = tree(&["cat/1.png", "dog/2.png"]);
    write(root.path().join("annotations.json"), "{}");
    write(root.path().join("README.md"), "about");
    let dataset = auto(root.path()).unwrap();
    assert!(
        matches!(&dataset.warnings[..], [DatasetWarning::FileNotRead { path, .. }] if path.ends_with("annotations.json")),
        "{:?}",
        dataset.warnings
    );
}

#[cfg(unix)]
#[test]
fn pipes_devices_and_loops_neither_hang_nor_fill_memory() {
    use std::os::unix::fs::symlink;

    let root = tree(&["cat/1.png", "dog/2.png"]);
    let pipe = |path: &Path| {
        let made = std::process::Command::new("mkfifo").arg(path).status();
        assert!(made.unwrap().success());
    };
    pipe(&root.path().join("cat/0"));
    symlink("/dev/zero", root.path().join("cat/2.png")).unwrap();
    symlink(root.path(), root.path().join("dog/loop")).unwrap();
    symlink("nowhere", root.path().join("dog/dangling.png")).unwrap();
    let dataset = auto(root.path()).unwrap();
    let told: Vec<String> = dataset.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(
        told.join("\n")
            .contains("dangling.png is a link that leads nowhere"),
        "{told:?}"
    );
    let report = promptfed_data::decode(&dataset, &Default::default(), |_, _| {}).unwrap();
    assert_eq!((report.decoded, report.skipped.len()), (2, 0));

    for name in ["classes.txt", "metadata.csv", "a_train.txt", "x.parquet"] {
        let root = tree(&["cat/1.png", "dog/2.png"]);
        pipe(&root.path().join(name));
        let dataset = auto(root.path()).unwrap();
        assert_eq!(dataset.len(), 2, "{name}");
        assert_eq!(
            dataset.warnings,
            [DatasetWarning::NotRegular {
                path: root.path().join(name)
            }]
        );
        let told = auto(&root.path().join(name)).unwrap_err().to_string();
        assert!(told.contains("a named pipe"), "{told}");
    }
}

#[test]
fn patients_some_of_whom_share_names_are_no_classes() {
    let patients = tree(&[
        "benign/smith/1.png",
        "benign/jones/1.png",
        "benign/lee/1.png",
        "benign/garcia/1.png",
        "malignant/smith/1.png",
        "malignant/miller/1.png",
        "malignant/lee/1.png",
        "malignant/brown/1.png",
    ]);
    let error = auto(patients.path()).unwrap_err();
    assert!(matches!(error, DataError::UnclearLayout { .. }), "{error}");
    // Two domains that share two classes of three.
    let domains = tree(&[
        "photo/cat/1.png",
        "photo/dog/1.png",
        "photo/hen/1.png",
        "sketch/cat/1.png",
        "sketch/dog/1.png",
        "sketch/cow/1.png",
    ]);
    assert_eq!(
        auto(domains.path()).unwrap().domain_names,
        ["photo", "sketch"]
    );
}

#[test]
fn a_lone_split_among_other_folders_is_named_with_its_flag() {
    let root = tree(&[
        "train/cat/1.png",
        "train/dog/1.png",
        "unlabelled/cat/1.png",
        "unlabelled/dog/1.png",
    ]);
    let error = auto(root.path()).unwrap_err().to_string();
    assert!(
        error.contains("`--split train` reads that alone"),
        "{error}"
    );
    assert_eq!(with_split(root.path(), "train").unwrap().len(), 2);
}

#[test]
fn known_classes_on_both_levels_are_refused() {
    let root = tree(&[
        "photo/cat/1.png",
        "photo/dog/1.png",
        "sketch/cat/1.png",
        "sketch/dog/1.png",
    ]);
    for classes in [["photo", "sketch", "dog"], ["photo", "dog", "cat"]] {
        let error = with_classes(root.path(), &classes).unwrap_err().to_string();
        assert!(error.contains("on both levels"), "{error}");
    }
    assert_eq!(
        with_classes(root.path(), &["cat", "dog"])
            .unwrap()
            .domain_names,
        ["photo", "sketch"]
    );
}

#[cfg(unix)]
#[test]
fn links_that_lead_nowhere_count_as_pictures_left_out() {
    use std::os::unix::fs::symlink;

    let root = tree(&["cat/1.png", "dog/2.png"]);
    let link = |name: &str| symlink("../store/none", root.path().join(name)).unwrap();
    link("cat/3.png");
    link("dog/4.png");
    let dataset = auto(root.path()).unwrap();
    assert_eq!((dataset.len(), dataset.warnings.len()), (2, 2));
    let told = DatasetWarning::by_kind(&dataset.warnings).join("\n");
    assert!(
        told.contains("2 links left out, which lead nowhere"),
        "{told}"
    );
    link("dog/5.png");
    let told = auto(root.path()).unwrap_err().to_string();
    assert!(
        told.contains("3 of the 5") && told.contains("3 links lead nowhere"),
        "{told}"
    );
    for picture in ["cat/1.png", "dog/2.png"] {
        std::fs::remove_file(root.path().join(picture)).unwrap();
    }
    let told = auto(root.path()).unwrap_err().to_string();
    assert!(
        told.contains("3 links that lead nowhere") && told.contains("cat/3.png"),
        "{told}"
    );
}

#[test]
fn a_path_that_is_not_there_is_told_as_that() {
    let root = tree(&["cat/1.png", "dog/2.png"]);
    let path = root.path().join("photoz");
    let told = auto(&path).unwrap_err().to_string();
    assert_eq!(told, format!("{} does not exist", path.display()));
}

#[test]
fn a_list_beside_folders_is_told_as_not_read_because_of_the_layout() {
    let root = tree(&["cat/1.png", "dog/2.png"]);
    write(root.path().join("labels.txt"), "cat/1.png 0\ndog/2.png 1\n");
    write(root.path().join("notes.txt"), "Chapter 1\n");
    let dataset = with_layout(root.path(), Layout::ClassFolders).unwrap();
    let told: Vec<String> = dataset.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].contains("labels.txt") && told[0].contains("`--layout`"),
        "{told:?}"
    );
    assert!(
        told[1].contains("notes.txt") && told[1].contains("no list"),
        "{told:?}"
    );
}
