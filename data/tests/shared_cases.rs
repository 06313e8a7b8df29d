//! Inputs that were once read wrongly, where they are present.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::PathBuf;

use common::shared_data;
use promptfed_data::{
    DataError, Dataset, DatasetWarning, DecodeOptions, Fit, Layout, OpenOptions, Result, load, open,
};
use promptfed_prompts::LabelSpace;

fn case(name: &str) -> Option<PathBuf> {
    let path = shared_data()?.parent()?.join("cases").join(name);
    if !path.exists() {
        println!("skipped: {} is absent", path.display());
        return None;
    }
    Some(path)
}

fn read(path: &std::path::Path, layout: Layout, split: Option<&str>) -> Result<Dataset> {
    let options = OpenOptions {
        layout,
        split: split.map(str::to_owned),
        ..OpenOptions::default()
    };
    open(path, &options)
}

#[test]
fn patients_are_no_classes() {
    let Some(path) = case("patient_folders/N4") else {
        return;
    };
    let error = read(&path, Layout::Auto, None).unwrap_err();
    assert!(matches!(error, DataError::UnclearLayout { .. }), "{error}");
    let dataset = read(&path, Layout::ClassFolders, None).unwrap();
    assert_eq!(dataset.class_names, ["benign", "malignant"]);
    assert_eq!(dataset.len(), 16);
}

#[test]
fn folders_of_images_in_classes() {
    let Some(path) = case("tinylayout") else {
        return;
    };
    let dataset = read(&path, Layout::Auto, Some("train")).unwrap();
    assert_eq!(
        dataset.class_names,
        ["European fire salamander", "bullfrog", "goldfish"]
    );
    assert!(read(&path, Layout::Auto, None).is_err());
}

#[test]
fn an_index_is_no_mapping() {
    let Some(path) = case("mapf") else { return };
    let dataset = read(&path, Layout::Auto, None).unwrap();
    assert_eq!(dataset.class_names, ["cat", "dog"]);
}

#[test]
fn ids_of_a_flat_list_are_classes() {
    let Some(path) = case("flatlist") else { return };
    for (split, domains) in [("train", 1), ("val", 0)] {
        let dataset = read(&path, Layout::Auto, Some(split)).unwrap();
        assert_eq!(dataset.class_names, ["0", "1", "2"]);
        assert_eq!((dataset.len(), dataset.domain_names.len()), (30, domains));
    }
    assert!(matches!(
        read(&path, Layout::Auto, None),
        Err(DataError::SplitNotChosen { .. })
    ));
}

#[test]
fn splits_beside_others_and_in_names_of_shards() {
    for name in ["split_plus_other/L1", "hubshards"] {
        let Some(path) = case(name) else { return };
        assert!(matches!(
            read(&path, Layout::Auto, None),
            Err(DataError::SplitNotChosen { .. })
        ));
        let sizes =
            ["train", "test"].map(|split| read(&path, Layout::Auto, Some(split)).unwrap().len());
        let expected = match name {
            "hubshards" => [24, 10],
            _ => [12, 12],
        };
        assert_eq!(sizes, expected, "{name}");
    }
}

#[test]
fn lists_of_other_names_are_read() {
    let Some(path) = case("lists_ignored/D1") else {
        return;
    };
    let dataset = read(&path, Layout::Auto, Some("train")).unwrap();
    assert_eq!(dataset.domain_names, ["clipart", "sketch"]);
    assert_eq!(
        dataset.class_names,
        ["airplane", "ambulance", "apple", "backpack"]
    );
    assert_eq!(dataset.len(), 16);
}

#[test]
fn the_lists_of_domainnet_are_read_as_ever() {
    let Some(data) = shared_data() else { return };
    let lists = data.join("domainnet_lists");
    let fgl10 = read(&lists.join("fgl10"), Layout::Auto, Some("test")).unwrap();
    assert_eq!((fgl10.class_names.len(), fgl10.domain_names.len()), (10, 6));
    assert_eq!(fgl10.class_names[0], "airplane");
    let sentry40 = read(&lists.join("sentry40"), Layout::Auto, Some("train")).unwrap();
    assert_eq!(
        (sentry40.class_names.len(), sentry40.domain_names.len()),
        (40, 4)
    );
    assert!(fgl10.warnings.is_empty() && sentry40.warnings.is_empty());
}

#[test]
fn tables_give_captions_and_hide_nothing() {
    for (name, samples) in [("metadata_csv/M2", 6), ("hfmeta", 8)] {
        let Some(path) = case(name) else { return };
        let dataset = read(&path, Layout::Auto, None).unwrap();
        assert_eq!((dataset.class_names.len(), dataset.len()), (2, samples));
        if samples == 6 {
            assert!(dataset.samples.iter().all(|s| s.caption.is_some()));
            assert!(dataset.warnings.is_empty(), "{:?}", dataset.warnings);
        }
    }
}

#[test]
fn decomposed_names_are_the_same_names() {
    let Some(path) = case("nfd") else { return };
    let text = std::fs::read_to_string(path.join("labels.toml")).unwrap();
    let space = LabelSpace::from_toml(&text).unwrap();
    let total: usize = ["train", "test"]
        .map(|split| {
            let options = OpenOptions {
                label_space: Some(space.clone()),
                split: Some(split.to_owned()),
                ..OpenOptions::default()
            };
            let dataset = open(&path, &options).unwrap();
            assert!(dataset.warnings.is_empty(), "{:?}", dataset.warnings);
            dataset.len()
        })
        .iter()
        .sum();
    assert_eq!(total, 96);
}

#[test]
fn minus_one_is_not_one() {
    let Some(path) = case("sign2") else { return };
    let options = OpenOptions {
        label_space: Some(LabelSpace::from_names("model", ["0", "1"]).unwrap()),
        split: Some("test".to_owned()),
        ..OpenOptions::default()
    };
    let dataset = open(&path, &options).unwrap();
    assert_eq!(dataset.len(), 12);
    assert_eq!(
        dataset.warnings,
        [DatasetWarning::ClassNotListed {
            class: "-1".to_owned(),
            samples: 6
        }]
    );
}

#[test]
fn names_with_any_sign_come_through() {
    let Some(path) = case("fashion") else { return };
    let dataset = read(&path, Layout::Auto, Some("train")).unwrap();
    let names = &dataset.class_names;
    assert!(names.contains(&"T-shirt/top".to_owned()), "{names:?}");
    assert!(
        dataset.domain_names.is_empty(),
        "{:?}",
        dataset.domain_names
    );
    let size = 8;
    let (images, _) = load(&dataset, size, Fit::Crop, &DecodeOptions::default()).unwrap();
    assert_eq!(images.len(), dataset.len());
}

#[test]
fn unreadable_pictures_are_named() {
    let Some(path) = case("all_unreadable") else {
        return;
    };
    for name in ["pathonly.parquet", "pathcol.parquet"] {
        let told = match read(&path.join(name), Layout::Auto, None) {
            Err(error) => error.to_string(),
            Ok(dataset) => load(&dataset, 8, Fit::Crop, &DecodeOptions::default())
                .unwrap_err()
                .to_string(),
        };
        assert!(told.contains(name), "{told}");
    }
    // The list lies in a folder of its own, and its pictures beside that.
    let lists = read(&path.join("D8/splits"), Layout::Auto, None).unwrap();
    let all = read(&path.join("D8"), Layout::Auto, None).unwrap();
    assert_eq!((lists.len(), all.len()), (2, 2));
}

#[test]
fn arrow_folders_are_named_with_the_way_to_convert() {
    let Some(path) = case("arrow") else { return };
    for path in [path.clone(), path.join("train")] {
        let told = read(&path, Layout::Auto, None).unwrap_err().to_string();
        assert!(told.contains("load_from_disk"), "{told}");
    }
}

#[test]
fn the_other_real_sets_are_read_as_ever() {
    let Some(data) = shared_data() else { return };
    for (name, split, classes, domains, samples) in [
        ("imagenette", "test", 10, 0, 1942),
        ("tinynet10", "test", 10, 0, 897),
        ("office_caltech10", "test", 10, 4, 352),
        ("wbc_sites", "private", 5, 3, 447),
        ("wbc_sites", "test", 5, 3, 157),
        ("tinynet200", "public", 190, 0, 26_600),
        ("pacs", "private", 7, 4, 3970),
    ] {
        let dataset = read(&data.join(name), Layout::Auto, Some(split)).unwrap();
        assert_eq!(
            (
                dataset.class_names.len(),
                dataset.domain_names.len(),
                dataset.len()
            ),
            (classes, domains, samples),
            "{name} {split}"
        );
        assert!(
            dataset.warnings.is_empty(),
            "{name}: {:?}",
            dataset.warnings
        );
        let inside = read(&data.join(name).join(split), Layout::Auto, None).unwrap();
        assert_eq!(inside.class_names, dataset.class_names);
        if name == "tinynet200" {
            assert!(dataset.class_names.contains(&"goldfish".to_owned()));
        }
    }
}
