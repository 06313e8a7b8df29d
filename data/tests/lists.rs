//! Lists of other forms than DomainNet's, and what their ids are called.
#![allow(clippy::unwrap_used)]

mod common;

use common::{auto, summary, tree, with_split, write};
use promptfed_data::{DataError, DatasetWarning, OpenOptions, open};
use promptfed_prompts::{ClassEntry, LabelSpace};

#[test]
fn ids_of_a_flat_list_are_the_classes() {
    let root = tree(&["images/0.jpg", "images/1.jpg", "images/2.jpg"]);
    write(
        root.path().join("photo_train.txt"),
        "images/0.jpg 0\nimages/1.jpg 1\nimages/2.jpg 2\n",
    );
    let dataset = auto(root.path()).unwrap();
    assert_eq!(dataset.class_names, ["0", "1", "2"]);
    assert_eq!(dataset.labels(), [0, 1, 2]);
    assert_eq!(dataset.domain_names, ["photo"]);

    write(root.path().join("classes.txt"), "cat\ndog\nhen\n");
    let dataset = auto(root.path()).unwrap();
    assert_eq!(dataset.class_names, ["cat", "dog", "hen"]);

    let class = |name: &str, id: &str| ClassEntry {
        name: name.to_owned(),
        prompt_name: None,
        aliases: vec![id.to_owned()],
    };
    std::fs::remove_file(root.path().join("classes.txt")).unwrap();
    let space = LabelSpace::new("test", vec![class("hen", "2"), class("cat", "0")]).unwrap();
    let options = OpenOptions {
        label_space: Some(space),
        ..OpenOptions::default()
    };
    let dataset = open(root.path(), &options).unwrap();
    assert_eq!(dataset.labels(), [1, 0]);
    let options = OpenOptions {
        label_space: Some(LabelSpace::from_names("test", ["cat", "dog"]).unwrap()),
        ..OpenOptions::default()
    };
    let told = open(root.path(), &options).unwrap_err().to_string();
    assert!(told.contains("aliases"), "{told}");
}

#[test]
fn ids_over_folders_of_patients_are_the_classes() {
    let root = tree(&[]);
    write(
        root.path().join("train.txt"),
        "P0012/1.png 0\nP0012/2.png 0\nP0044/1.png 0\nP0101/1.png 1\n",
    );
    let dataset = auto(root.path()).unwrap();
    assert_eq!(dataset.class_names, ["0", "1"]);
    assert_eq!(dataset.labels(), [0, 0, 0, 1]);
    assert!(dataset.domain_names.is_empty());
}

#[test]
fn names_of_lists_tell_split_and_domain_in_any_form() {
    let root = tree(&[
        "sketch/cat/1.png",
        "sketch/dog/2.png",
        "photo/cat/3.png",
        "photo/dog/4.png",
    ]);
    let sketch = "sketch/cat/1.png 0\nsketch/dog/2.png 1\n";
    let photo = "photo/cat/3.png 0\nphoto/dog/4.png 1\n";
    for (names, split) in [
        (
            ["sketch_train_mini.txt", "photo_train_mini.txt"],
            Some("train"),
        ),
        (["sketch_train.TXT", "photo_train.txt"], None),
        (["Sketch.txt", "Photo.txt"], None),
        (["train-sketch.lst", "train-photo.lst"], Some("train")),
    ] {
        for (name, text) in names.iter().zip([sketch, photo]) {
            write(root.path().join(name), text);
        }
        let options = OpenOptions {
            split: split.map(str::to_owned),
            ..OpenOptions::default()
        };
        let dataset = open(root.path(), &options).unwrap();
        assert_eq!(dataset.len(), 4, "{names:?}");
        let domains: Vec<String> = dataset
            .domain_names
            .iter()
            .map(|d| d.to_ascii_lowercase())
            .collect();
        assert_eq!(domains, ["photo", "sketch"], "{names:?}");
        assert_eq!(dataset.class_names, ["cat", "dog"]);
        for name in names {
            std::fs::remove_file(root.path().join(name)).unwrap();
        }
    }
    // Two splits in any form must be chosen.
    write(root.path().join("photo_train.txt"), photo);
    write(root.path().join("val_list.txt"), sketch);
    assert!(matches!(
        auto(root.path()),
        Err(DataError::SplitNotChosen { .. })
    ));
    let dataset = with_split(root.path(), "val").unwrap();
    assert_eq!((dataset.len(), dataset.domain_names.len()), (2, 0));
    assert!(matches!(
        with_split(root.path(), "test"),
        Err(DataError::SplitNotFound { .. })
    ));
}

#[test]
fn every_form_of_line_and_encoding_reads_alike() {
    let root = tree(&["cat/1.png", "dog/2.png"]);
    let path = root.path().join("train.csv");
    let utf16 = |text: &str| -> Vec<u8> {
        let text = format!("\u{feff}{text}");
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    };
    for bytes in [
        b"cat/1.png,0\ndog/2.png,1\n".to_vec(),
        b"cat/1.png 0\r\ndog/2.png 1\r\n".to_vec(),
        b"\xef\xbb\xbfcat/1.png\t0\r\ndog/2.png\t1".to_vec(),
        b"path,label\ncat/1.png,cat\ndog/2.png,dog\n".to_vec(),
        b"Label;Filename\r\ncat;cat/1.png\r\ndog;dog/2.png\r\n".to_vec(),
        b"cat/1.png,cat\ndog/2.png,dog\n".to_vec(),
        b"cat\\1.png 0\ndog\\2.png 1\n".to_vec(),
        utf16("cat/1.png 0\r\ndog/2.png 1\r\n"),
        utf16("path,label\ncat/1.png,cat\ndog/2.png,dog\n"),
    ] {
        write(&path, &bytes);
        for opened in [root.path(), path.as_path()] {
            let dataset = auto(opened).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            assert_eq!(dataset.class_names, ["cat", "dog"], "{text}");
            let found = summary(&dataset);
            assert_eq!(
                (found[0].2.as_str(), found[1].2.as_str()),
                ("1.png", "2.png")
            );
        }
    }
    write(&path, b"cat/1.png 0\ncaf\xe9/2.png 1\n");
    let told = auto(&path).unwrap_err().to_string();
    assert!(
        told.contains("train.csv, line 2") && told.contains("Windows-1252"),
        "{told}"
    );
}

#[test]
fn a_column_tells_the_split() {
    let root = tree(&["1.png", "2.png"]);
    write(
        root.path().join("labels.csv"),
        "filename,label,split\n1.png,cat,train\n2.png,dog,test\n",
    );
    assert!(matches!(
        auto(root.path()),
        Err(DataError::SplitNotChosen { .. })
    ));
    assert_eq!(
        summary(&with_split(root.path(), "test").unwrap())[0].0,
        "dog"
    );
}

#[test]
fn paths_alone_are_read_with_the_pictures_elsewhere() {
    let root = tree(&[
        "images/apple_pie/1.jpg",
        "images/apple_pie/2.jpg",
        "images/baklava/3.jpg",
    ]);
    write(
        root.path().join("meta/train.txt"),
        "apple_pie/1\nbaklava/3\n",
    );
    write(root.path().join("meta/test.txt"), "apple_pie/2\n");
    write(root.path().join("meta/classes.txt"), "apple_pie\nbaklava\n");
    write(root.path().join("meta/labels.txt"), "Apple pie\nBaklava\n");
    assert!(matches!(
        auto(root.path()),
        Err(DataError::SplitNotChosen { .. })
    ));
    let dataset = with_split(root.path(), "train").unwrap();
    assert_eq!(dataset.class_names, ["apple_pie", "baklava"]);
    assert_eq!(summary(&dataset)[1].2, "3.jpg");
    assert!(
        promptfed_data::decode(&dataset, &Default::default(), |_, _| {})
            .unwrap()
            .skipped
            .is_empty()
    );
}

#[test]
fn lists_find_their_pictures_beside_their_folder() {
    let root = tree(&["real/axe/1.png", "real/bee/2.png"]);
    let list = root.path().join("splits/real_train.txt");
    write(&list, "real/axe/1.png 0\nreal/bee/2.png 1\n");
    for opened in [root.path(), list.as_path()] {
        let dataset = auto(opened).unwrap();
        let report = promptfed_data::decode(&dataset, &Default::default(), |_, _| {}).unwrap();
        assert_eq!(report.decoded, 2);
    }
}

#[test]
fn notes_are_no_lists() {
    let root = tree(&["cat/1.png", "dog/2.png"]);
    for (name, text) in [
        ("notes.txt", "Chapter 1\nSection 2\n"),
        ("train.txt", "epoch 1\nepoch 2\n"),
        ("boxes.txt", "1.png\t0\t0\t10\t10\n"),
        ("ages.csv", "name,age\ncat,3\n"),
    ] {
        write(root.path().join(name), text);
        let dataset = auto(root.path()).unwrap();
        assert_eq!(dataset.class_names, ["cat", "dog"], "{name}");
        let told = dataset.warnings[0].to_string();
        assert!(told.contains(name), "{told}");
        std::fs::remove_file(root.path().join(name)).unwrap();
    }
}

#[test]
fn lists_in_folders_of_splits_are_of_these() {
    let root = tree(&["train/1.png", "train/2.png", "test/3.png"]);
    write(
        root.path().join("train/labels.csv"),
        "1.png,cat\n2.png,dog\n",
    );
    write(root.path().join("test/labels.csv"), "3.png,dog\n");
    assert!(matches!(
        auto(root.path()),
        Err(DataError::SplitNotChosen { .. })
    ));
    let dataset = with_split(root.path(), "train").unwrap();
    assert_eq!(dataset.class_names, ["cat", "dog"]);
    assert_eq!(dataset.len(), 2);
}

#[test]
fn a_picture_has_one_class_and_counts_once() {
    let root = tree(&["1.png", "2.png"]);
    let list = root.path().join("labels.csv");
    write(&list, "1.png,cat\n2.png,dog\n1.png,cat\n");
    let dataset = auto(root.path()).unwrap();
    assert_eq!((dataset.len(), dataset.warnings.len()), (2, 1));
    write(&list, "1.png,cat\n2.png,dog\n1.png,dog\n");
    let told = auto(root.path()).unwrap_err().to_string();
    assert!(told.contains("labels.csv:3"), "{told}");
}

#[test]
fn a_stray_list_does_not_hide_what_it_leaves_out() {
    let root = tree(&[
        "cat/1.png",
        "cat/2.png",
        "cat/3.png",
        "dog/4.png",
        "dog/5.png",
    ]);
    write(root.path().join("best.txt"), "cat/1.png 0\ndog/4.png 1\n");
    let dataset = auto(root.path()).unwrap();
    assert_eq!(dataset.len(), 2);
    let told = dataset.warnings[0].to_string();
    assert!(told.contains("name 2 pictures, and 5 lie there"), "{told}");
}

#[test]
fn a_names_file_goes_before_folders_that_it_does_not_speak_of() {
    let root = tree(&["scans/smith/1.png", "scans/jones/2.png"]);
    write(
        root.path().join("train.txt"),
        "scans/smith/1.png 0\nscans/jones/2.png 1\n",
    );
    let classes = || auto(root.path()).unwrap().class_names;
    assert_eq!(classes(), ["smith", "jones"]);
    write(root.path().join("classes.txt"), "benign\nmalignant\n");
    assert_eq!(classes(), ["benign", "malignant"]);
    // One that knows the folders, in whatever order, leaves them their names.
    write(root.path().join("classes.txt"), "Jones\nSmith\n");
    assert_eq!(classes(), ["smith", "jones"]);
}

#[test]
fn wordnet_ids_in_lists_are_named_by_the_words_beside_them() {
    let root = tree(&[
        "val/n01440764/1.JPEG",
        "val/n01443537/2.JPEG",
        "flat/3.JPEG",
    ]);
    write(
        root.path().join("words.txt"),
        "n01440764\ttench, Tinca tinca\nn01443537\tgoldfish, Carassius auratus\n",
    );
    for list in [
        "val/n01440764/1.JPEG 0\nval/n01443537/2.JPEG 1\n",
        "path,label\nval/n01440764/1.JPEG,n01440764\nflat/3.JPEG,n01443537\n",
    ] {
        write(root.path().join("list.csv"), list);
        let mut classes = auto(root.path()).unwrap().class_names;
        classes.sort();
        assert_eq!(classes, ["goldfish", "tench"], "{list}");
    }
}

#[test]
fn lists_that_are_not_read_are_named_where_they_could_have_told_the_classes() {
    for (file, text, why) in [
        (
            "train.txt",
            &b"images/1.jpg k\xe4se\nimages/2.jpg huhn\n"[..],
            "train.txt is not read: line 1: byte 0xe4 is not UTF-8",
        ),
        (
            "train.csv",
            &b"filename,label\nimages/1.jpg,k\xe4se\n"[..],
            "train.csv is not read: line 2: byte 0xe4 is not UTF-8",
        ),
        (
            "skin.csv",
            &b"lesion_id,image_id,dx\nHAM_1,1,nv\n"[..],
            "skin.csv is not read: its first line is `lesion_id, image_id, dx`; a list has a column of paths",
        ),
    ] {
        let root = tree(&["images/1.jpg", "images/2.jpg"]);
        write(root.path().join(file), text);
        let error = auto(root.path()).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    let root = tree(&["images/pie/1.jpg", "images/soup/2.jpg"]);
    write(root.path().join("meta/test.json"), "{\"pie\": 1}");
    let dataset = auto(root.path()).unwrap();
    assert!(
        dataset.warnings[0]
            .to_string()
            .contains("test.json is not read")
    );
}

#[test]
fn a_column_of_splits_in_the_metadata_must_be_chosen_from() {
    let in_folders = tree(&["cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"]);
    write(
        in_folders.path().join("metadata.csv"),
        "file_name,text,split\ncat/1.png,a,train\ncat/2.png,b,test\ndog/1.png,c,train\ndog/2.png,d,test\n",
    );
    let flat = tree(&[
        "images/1.png",
        "images/2.png",
        "images/3.png",
        "images/4.png",
    ]);
    write(
        flat.path().join("images/metadata.jsonl"),
        "{\"file_name\": \"1.png\", \"label\": \"cat\", \"split\": \"train\"}\n\
         {\"file_name\": \"2.png\", \"label\": \"cat\", \"split\": \"test\"}\n\
         {\"file_name\": \"3.png\", \"label\": \"dog\", \"split\": \"train\"}\n\
         {\"file_name\": \"4.png\", \"label\": \"dog\"}\n",
    );
    for (root, tested) in [(&in_folders, 2), (&flat, 1)] {
        let error = auto(root.path()).unwrap_err();
        assert!(matches!(error, DataError::SplitNotChosen { .. }), "{error}");
        assert_eq!(with_split(root.path(), "train").unwrap().len(), 2);
        assert_eq!(with_split(root.path(), "test").unwrap().len(), tested);
        let error = with_split(root.path(), "dev").unwrap_err();
        assert!(matches!(error, DataError::SplitNotFound { .. }), "{error}");
    }
    let dataset = with_split(flat.path(), "train").unwrap();
    assert!(
        dataset.warnings[0]
            .to_string()
            .contains("1 rows without `split`")
    );
}

#[test]
fn lists_by_class_are_read_where_there_are_no_others() {
    let root = tree(&[
        "images/apple_pie/1.jpg",
        "images/apple_pie/2.jpg",
        "images/sushi/3.jpg",
        "images/sushi/4.jpg",
    ]);
    let meta = root.path().join("meta");
    write(
        meta.join("train.json"),
        r#"{"sushi": ["sushi/3"], "apple_pie": ["apple_pie/1"]}"#,
    );
    write(
        meta.join("test.json"),
        r#"{"apple_pie": ["apple_pie/2"], "sushi": ["sushi/4"]}"#,
    );
    assert!(matches!(
        auto(root.path()),
        Err(DataError::SplitNotChosen { splits, .. }) if splits == ["test", "train"]
    ));
    let test = with_split(root.path(), "test").unwrap();
    assert!(test.warnings.is_empty(), "{:?}", test.warnings);
    let found = |class: &str, file: &str| (class.to_owned(), None, file.to_owned());
    assert_eq!(
        summary(&test),
        [found("apple_pie", "2.jpg"), found("sushi", "4.jpg")]
    );
    // Beside them, the lists of paths say the same.
    write(meta.join("train.txt"), "apple_pie/1\nsushi/3\n");
    write(meta.join("test.txt"), "apple_pie/2\nsushi/4\n");
    let test = with_split(root.path(), "test").unwrap();
    assert_eq!(test.len(), 2);
    let told = DatasetWarning::by_kind(&test.warnings).join("\n");
    assert!(
        told.contains("it is a list, and others were read"),
        "{told}"
    );
    assert!(!told.contains("listed before"), "{told}");
}

#[test]
fn tiny_imagenets_validation_pictures_have_their_labels_from_the_list() {
    let root = tree(&[
        "train/n01443537/images/n01443537_0.JPEG",
        "train/n02123045/images/n02123045_0.JPEG",
        "val/images/val_0.JPEG",
        "val/images/val_1.JPEG",
        "test/images/test_0.JPEG",
    ]);
    let at = |name: &str| root.path().join(name);
    write(at("wnids.txt"), "n02123045\nn01443537\n");
    write(
        at("words.txt"),
        "n01443537\tgoldfish, Carassius auratus\nn02123045\ttabby, tabby cat\n",
    );
    write(
        at("train/n01443537/n01443537_boxes.txt"),
        "n01443537_0.JPEG\t0\t10\t63\t58\n",
    );
    write(
        at("val/val_annotations.txt"),
        "val_0.JPEG\tn02123045\t0\t32\t44\t62\nval_1.JPEG\tn01443537\t52\t55\t57\t59\n",
    );
    assert!(matches!(
        auto(root.path()),
        Err(DataError::SplitNotChosen { splits, .. }) if splits == ["test", "train", "val"]
    ));
    let train = with_split(root.path(), "train").unwrap();
    assert_eq!(train.class_names, ["goldfish", "tabby"]);
    assert_eq!(train.len(), 2);
    let found = |class: &str, file: &str| (class.to_owned(), None, file.to_owned());
    for val in [with_split(root.path(), "val"), auto(&at("val"))] {
        let val = val.unwrap();
        let mut files = summary(&val);
        files.sort();
        assert_eq!(files[0].2, "val_1.JPEG", "{files:?}");
        assert_eq!(files.len(), 2);
        assert!(val.warnings.is_empty(), "{:?}", val.warnings);
    }
    let val = with_split(root.path(), "val").unwrap();
    assert_eq!(
        summary(&val),
        [
            found("tabby", "val_0.JPEG"),
            found("goldfish", "val_1.JPEG")
        ]
    );
    // Without the list nobody knows the labels, and what is there is named.
    write(at("val/val_annotations.txt"), "val_0.JPEG tabby x y\n");
    let told = with_split(root.path(), "val").unwrap_err().to_string();
    assert!(told.contains("val_annotations.txt"), "{told}");
}
