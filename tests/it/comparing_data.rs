//! `compare` on data as they are published: sites of a hospital, DomainNet's lists, ImageNet's folders.

use crate::support::{json, promptfed};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A data set beside the repository, where there is one.
fn shared(name: &str) -> Option<PathBuf> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data")
        .join(name);
    if place.exists() {
        return Some(place);
    }
    println!("skipped: {} is absent", place.display());
    None
}

/// What nothing is learned by: enough to see that all is read, dealt and told.
fn compared(folder: &Path, data: &[&str], more: &[&str]) -> Value {
    let start = ["compare", "--seeds=1", "--out=out"];
    json(&mut promptfed(folder, &[&start, data, more].concat()))
}

/// Names of the clients in the record of a comparison.
fn clients(folder: &Path) -> Vec<String> {
    let record = std::fs::read_to_string(folder.join("out/report.json")).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    let clients = record["comparison"]["data"]["clients"].as_array().unwrap();
    clients
        .iter()
        .map(|client| client["name"].as_str().unwrap().to_owned())
        .collect()
}

fn picture(place: &Path, shade: u8) {
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    let pixel = |x: u32, y: u32| image::Rgb([shade, (x * 9) as u8, (y * 7 + x) as u8]);
    image::RgbImage::from_fn(12, 12, pixel)
        .save_with_format(place, image::ImageFormat::Png)
        .unwrap();
}

#[test]
fn each_site_is_a_client_and_the_report_says_what_the_generator_never_saw() {
    let Some(cells) = shared("wbc_sites") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let [private, test] = ["private", "test"].map(|split| cells.join(split));
    let told = compared(
        folder.path(),
        &[
            "--private",
            private.to_str().unwrap(),
            "--test",
            test.to_str().unwrap(),
            "--partition=domain",
        ],
        &[
            "--methods=zero-upload,majority,chance",
            "--images=10",
            "--steps=2",
            "--synthetic-epochs=1",
            "--width=4",
            "--image-size=16",
        ],
    );
    assert_eq!(
        clients(folder.path()),
        ["bccd", "cellavision", "jiangxi_tecom"]
    );
    let unknown = told["unknown_words"]["classes"].as_object().unwrap();
    assert!(unknown.contains_key("monocyte"), "{unknown:?}");
    let page = std::fs::read_to_string(folder.path().join("out/report.html")).unwrap();
    let said = format!(
        "was never shown the words of {} of 5 classes",
        unknown.len()
    );
    assert!(page.contains(&said), "{said}");
}

/// The published lists with pictures for some of their lines.
#[test]
fn domainnets_lists_are_compared_with_a_client_for_each_domain() {
    let Some(lists) = shared("domainnet_lists/fgl10") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("domainnet");
    std::fs::create_dir(&root).unwrap();
    // Two of the lists for training have seven of the ten.
    let mut classes = BTreeSet::new();
    for entry in std::fs::read_dir(lists).unwrap() {
        let list = entry.unwrap().path();
        let text = std::fs::read_to_string(&list).unwrap();
        let mut of_class: BTreeMap<&str, usize> = BTreeMap::new();
        let mut kept = String::new();
        for (index, line) in text.lines().enumerate() {
            let (path, class) = line.trim().rsplit_once(' ').unwrap();
            let count = of_class.entry(class).or_default();
            if *count < 2 {
                *count += 1;
                // No two pictures are the same.
                let shade = (index * 31 + kept.len()) as u8;
                picture(&root.join(path), shade);
                kept += &format!("{path} {class}\n");
            }
        }
        classes.extend(of_class.into_keys().map(str::to_owned));
        std::fs::write(root.join(list.file_name().unwrap()), kept).unwrap();
    }
    assert_eq!(classes.len(), 10);
    let data = [
        "--private=domainnet",
        "--private-split=train",
        "--test=domainnet",
        "--test-split=test",
        "--partition=domain",
        "--layout=domainnet-lists",
        "--label-space=domainnet10",
        // Pictures of so few colours are alike.
        "--allow-overlap",
    ];
    let told = compared(
        folder.path(),
        &data,
        &["--methods=majority,chance", "--image-size=16"],
    );
    assert_eq!(told["methods"].as_array().unwrap().len(), 2);
    let domains = [
        "clipart",
        "infograph",
        "painting",
        "quickdraw",
        "real",
        "sketch",
    ];
    assert_eq!(clients(folder.path()), domains);
}

/// A label set chooses its classes by their WordNet ids among all of ImageNet's folders.
#[test]
fn a_label_set_of_imagenet_leaves_the_other_folders_out() {
    let folder = tempfile::tempdir().unwrap();
    let shown = json(&mut promptfed(
        folder.path(),
        &["label-space", "show", "imagesquawk"],
    ));
    let text = shown.to_string();
    let ids: Vec<&str> = text
        .match_indices("\"n0")
        .map(|(at, _)| &text[at + 1..at + 10])
        .collect();
    assert_eq!(ids.len(), 10, "{text}");
    let others = ["n03445777", "n03888257", "n07753592", "n09193705"];
    for (split, first) in [("train", 0), ("val", 100)] {
        for (class, id) in ids.iter().chain(&others).enumerate() {
            for number in 0..4u8 {
                let place = folder
                    .path()
                    .join(format!("imagenet/{split}/{id}/{id}_{number}.JPEG"));
                picture(&place, first + class as u8 * 7 + number);
            }
        }
    }
    let data = [
        "--private=imagenet/train",
        "--test=imagenet/val",
        "--partition=iid:2",
        "--label-space=imagesquawk",
        "--allow-overlap",
    ];
    let told = compared(
        folder.path(),
        &data,
        &["--methods=majority,chance", "--image-size=16"],
    );
    let record = std::fs::read_to_string(folder.path().join("out/report.json")).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    let data = &record["comparison"]["data"];
    assert_eq!(data["classes"].as_array().unwrap().len(), 10);
    assert_eq!(data["test_images"], 40);
    let warnings = told["warnings"].to_string();
    assert!(others.iter().all(|id| warnings.contains(id)), "{warnings}");
}
