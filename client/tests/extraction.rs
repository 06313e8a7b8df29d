//! A folder of images to prompts and back to text.
#![allow(clippy::unwrap_used)]

use std::num::NonZeroUsize;
use std::path::Path;

use promptfed_client::{
    CaptionProblem, Error, ExtractOptions, Extraction, captioner, extract, extract_with_progress,
};
use promptfed_data::{Dataset, OpenOptions, SkipReason, open};
use promptfed_prompts::{LabelSpace, Level, PromptSet, TemplateSet};
use tempfile::TempDir;

const RED: [u8; 3] = [250, 10, 10];
const BLUE: [u8; 3] = [10, 10, 250];

fn pacs() -> LabelSpace {
    LabelSpace::builtin("pacs").unwrap()
}

fn pocket(level: Level) -> ExtractOptions {
    ExtractOptions::new(level, TemplateSet::builtin("pocket").unwrap())
}

/// Three dogs and a person in two domains, a corrupt dog, and a house that is corrupt too.
fn pictures() -> (TempDir, Dataset) {
    let folder = tempfile::tempdir().unwrap();
    for (path, colour, caption) in [
        ("photo/dog/a.png", RED, Some("a puppy")),
        ("photo/dog/b.png", RED, None),
        ("sketch/dog/c.png", BLUE, Some("a puppy")),
        ("sketch/person/d.png", BLUE, None),
    ] {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::RgbImage::from_pixel(16, 16, image::Rgb(colour))
            .save(&path)
            .unwrap();
        if let Some(caption) = caption {
            std::fs::write(path.with_extension("txt"), caption).unwrap();
        }
    }
    for path in ["photo/dog/corrupt.png", "photo/house/corrupt.png"] {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "not a picture").unwrap();
    }
    let dataset = reopen(folder.path());
    (folder, dataset)
}

fn reopen(folder: &Path) -> Dataset {
    let options = OpenOptions {
        label_space: Some(pacs()),
        ..OpenOptions::default()
    };
    open(folder, &options).unwrap()
}

fn texts(extraction: &Extraction) -> Vec<&str> {
    extraction
        .preview
        .prompts
        .iter()
        .map(|text| text.positive.as_str())
        .collect()
}

#[test]
fn class_level() {
    let (_folder, dataset) = pictures();
    let extraction = extract(&dataset, &pacs(), &pocket(Level::Class)).unwrap();
    assert_eq!(texts(&extraction), ["a dog", "a person"]);
    let preview = &extraction.preview;
    assert_eq!(
        (preview.prompts.len(), preview.single_image_prompts),
        (2, 1)
    );
    assert_eq!(preview.smallest_group, 1);
    assert_eq!(preview.images_per_class[0].images, 3);
    assert_eq!(
        preview
            .images_per_class
            .iter()
            .map(|class| class.images)
            .sum::<u64>(),
        4
    );
    assert_eq!(preview.images_per_class.len(), 7);
    assert!(!preview.counts_released && !preview.json.contains("count"));
}

#[test]
fn domain_level_with_counts() {
    let (_folder, dataset) = pictures();
    let mut options = pocket(Level::Domain);
    options.counts = true;
    let extraction = extract(&dataset, &pacs(), &options).unwrap();
    assert_eq!(
        texts(&extraction),
        [
            "a photo of a dog",
            "a sketch of a dog",
            "a sketch of a person"
        ]
    );
    let counts: Vec<_> = extraction
        .prompt_set
        .prompts()
        .iter()
        .map(|p| p.count.unwrap())
        .collect();
    assert_eq!(counts, [2, 1, 1]);
    assert!(extraction.preview.counts_released);
}

#[test]
fn instance_level() {
    let (_folder, dataset) = pictures();
    let mut options = pocket(Level::Instance);
    options.captioner = captioner("metadata+attributes").unwrap();
    let extraction = extract(&dataset, &pacs(), &options).unwrap();
    assert_eq!(
        texts(&extraction),
        [
            "a photo of a dog, a puppy, red on red background",
            "a photo of a dog, red on red background",
            "a sketch of a dog, a puppy, blue on blue background, dark",
            "a sketch of a person, blue on blue background, dark",
        ]
    );
    assert_eq!(extraction.preview.single_image_prompts, 4);

    options.captioner = captioner("attributes").unwrap();
    let fewer = extract(&dataset, &pacs(), &options).unwrap();
    assert_eq!(fewer.preview.prompts.len(), 3);
    assert_eq!(fewer.preview.single_image_prompts, 2);
}

#[test]
fn the_preview_is_what_leaves() {
    let (_folder, dataset) = pictures();
    let mut options = pocket(Level::Instance);
    options.captioner = captioner("attributes").unwrap();
    let extraction = extract(&dataset, &pacs(), &options).unwrap();
    let wire = extraction.prompt_set.to_wire();
    let arrived = PromptSet::from_wire(&wire, &pacs()).unwrap();
    assert_eq!(arrived.to_json(), extraction.preview.json);
    assert_eq!(arrived.hash(), extraction.preview.hash);
    assert_eq!(wire.len(), extraction.preview.wire_bytes);
    // Nothing of the files themselves: neither names nor folders.
    for secret in ["a.png", "photo/dog", "corrupt", "puppy"] {
        assert!(!extraction.preview.json.contains(secret), "{secret}");
    }
    serde_json::to_string(&extraction.preview).unwrap();
}

#[test]
fn threads_do_not_change_the_result() {
    let (_folder, dataset) = pictures();
    let mut options = pocket(Level::Instance);
    options.captioner = captioner("metadata+attributes").unwrap();
    let of = |threads| {
        let options = ExtractOptions {
            threads: NonZeroUsize::new(threads),
            ..options.clone()
        };
        extract(&dataset, &pacs(), &options)
            .unwrap()
            .prompt_set
            .to_wire()
    };
    assert_eq!(of(1), of(5));
}

#[test]
fn unusable_images_are_listed() {
    let (_folder, dataset) = pictures();
    let mut options = pocket(Level::Instance);
    options.captioner = captioner("metadata").unwrap();
    let mut done = Vec::new();
    let extraction =
        extract_with_progress(&dataset, &pacs(), &options, &mut |images| done.push(images))
            .unwrap();
    let report = &extraction.report;
    assert_eq!((report.images, report.used, report.decoded), (6, 2, true));
    assert_eq!(report.decode.by_reason()[&SkipReason::UnsupportedFormat], 2);
    assert_eq!(report.without_caption.len(), 2);
    assert!(
        report
            .without_caption
            .iter()
            .all(|w| w.problem == CaptionProblem::Missing)
    );
    let warnings = report.warnings();
    assert_eq!(warnings.len(), 4);
    for name in [
        "photo/dog/corrupt.png",
        "photo/house/corrupt.png",
        "photo/dog/b.png",
        "sketch/person/d.png",
    ] {
        assert!(
            warnings.iter().any(|line| line.contains(name)),
            "{name}: {warnings:?}"
        );
    }
    assert_eq!(report.left_out()["without caption"], 2);
    assert_eq!(done.len(), 4);
    assert!(done.is_sorted() && *done.last().unwrap() <= 6);
}

#[test]
fn strict_mode_stops() {
    let (folder, dataset) = pictures();
    let mut options = pocket(Level::Instance);
    options.strict = true;
    options.captioner = captioner("metadata").unwrap();
    assert!(matches!(
        extract(&dataset, &pacs(), &options),
        Err(Error::Data(_))
    ));
    for class in ["dog", "house"] {
        std::fs::remove_file(folder.path().join(format!("photo/{class}/corrupt.png"))).unwrap();
    }
    let error = extract(&reopen(folder.path()), &pacs(), &options).unwrap_err();
    assert!(matches!(error, Error::Caption { .. }));
    assert!(error.to_string().contains("photo/dog/b.png"), "{error}");
}

#[test]
fn without_checking_corrupt_images_count() {
    let (_folder, dataset) = pictures();
    let mut options = pocket(Level::Class);
    options.check_images = false;
    let extraction = extract(&dataset, &pacs(), &options).unwrap();
    assert_eq!(texts(&extraction), ["a dog", "a house", "a person"]);
    assert!(!extraction.report.decoded);
    assert_eq!(extraction.report.used, 6);

    options = pocket(Level::Instance);
    options.check_images = false;
    options.captioner = captioner("attributes").unwrap();
    let extraction = extract(&dataset, &pacs(), &options).unwrap();
    assert!(
        extraction.report.decoded,
        "a captioner that needs pixels gets them"
    );
    assert_eq!(extraction.report.used, 4);
}

#[test]
fn what_is_missing_shows_before_images_are_read() {
    let (folder, dataset) = pictures();
    for image in ["photo/dog/a.png", "photo/dog/b.png"] {
        std::fs::remove_file(folder.path().join(image)).unwrap();
    }
    let fails = |space: &LabelSpace, options: &ExtractOptions| {
        let mut strict = options.clone();
        strict.strict = true;
        extract(&dataset, space, &strict).unwrap_err()
    };
    let emoji = LabelSpace::builtin("emoji").unwrap();
    let error = fails(&emoji, &pocket(Level::Class));
    assert!(
        matches!(&error, Error::ClassNotInLabelSpace { class, .. } if class == "dog"),
        "{error}"
    );
    let mut own = pocket(Level::Domain);
    own.templates = TemplateSet::from_toml(
        "name = \"own\"\n[[templates]]\nlevel = \"domain\"\ndomains = [\"sketch\"]\npositive = \"{label}\"",
    )
    .unwrap();
    let error = fails(&pacs(), &own);
    assert!(error.to_string().contains("domain `photo`"), "{error}");
    assert!(matches!(
        fails(&pacs(), &pocket(Level::Instance)),
        Error::CaptionerNeeded
    ));
}

#[test]
fn nothing_usable_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let class = folder.path().join("photo/dog");
    std::fs::create_dir_all(&class).unwrap();
    std::fs::write(class.join("x.png"), "").unwrap();
    let error = extract(&reopen(folder.path()), &pacs(), &pocket(Level::Class)).unwrap_err();
    assert!(
        matches!(error, Error::NothingUsable { images: 1, .. }),
        "{error}"
    );
    let told = error.to_string();
    assert!(
        told.contains("1 pictures empty") && told.contains("x.png"),
        "{told}"
    );
}
