//! What a client leaves out of its prompts.
#![allow(clippy::unwrap_used)]

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;

use promptfed_client::{Error, ExtractOptions, Extraction, Result, extract, give_domain};
use promptfed_data::{Dataset, OpenOptions, open};
use promptfed_prompts::{Domain, LabelSpace, Level, TemplateSet};

/// Class folders with so many pictures each; every class's last one is corrupt.
fn pictures(folder: &Path, classes: &[(&str, u8)]) -> (Dataset, LabelSpace) {
    for (class, count) in classes {
        let class = folder.join(class);
        std::fs::create_dir_all(&class).unwrap();
        for picture in 0..*count {
            image::RgbImage::from_pixel(8, 8, image::Rgb([picture, 0, 0]))
                .save(class.join(format!("{picture}.png")))
                .unwrap();
        }
        std::fs::write(class.join("z.png"), "no picture").unwrap();
    }
    let dataset = open(folder, &OpenOptions::default()).unwrap();
    let space = LabelSpace::from_names("pets", dataset.class_names.clone()).unwrap();
    (dataset, space)
}

fn options() -> ExtractOptions {
    ExtractOptions::new(Level::Class, TemplateSet::builtin("fgl").unwrap())
}

fn kept(extraction: &Extraction) -> Vec<(&str, u32)> {
    let prompts = extraction.preview.prompts.iter();
    prompts
        .map(|prompt| (prompt.class.as_str(), prompt.images))
        .collect()
}

const PETS: &[(&str, u8)] = &[("ant", 2), ("bee", 4), ("cat", 2), ("dog", 1)];

#[test]
fn the_largest_groups_are_kept_and_equals_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (dataset, space) = pictures(folder.path(), PETS);
    let with = |most, group| {
        let mut options = options();
        options.release.max_prompts = NonZeroUsize::new(most);
        options.release.min_group = NonZeroU32::new(group);
        extract(&dataset, &space, &options)
    };
    assert_eq!(kept(&with(1, 1).unwrap()), [("bee", 4)]);
    let two = with(2, 2).unwrap();
    assert_eq!(kept(&two), [("ant", 2), ("bee", 4)]);
    let withheld = &two.report.withheld;
    assert_eq!(
        (
            withheld.small_groups[0].class.as_str(),
            withheld.beyond_max[0].class.as_str()
        ),
        ("dog", "cat")
    );
    assert_eq!(withheld.vanished_classes, ["cat", "dog"]);
    assert_eq!(withheld.images(), 3);
    assert_eq!((two.report.images, two.report.used), (13, 6));
    let left_out: usize = two.report.left_out().values().sum();
    assert_eq!(left_out, 7, "{:?}", two.report.left_out());
    assert_eq!(kept(&with(9, 1).unwrap()).len(), 4);
    let error = with(9, 5).unwrap_err();
    assert!(
        matches!(error, Error::AllWithheld { .. }) && error.to_string().contains("has 4"),
        "{error}"
    );
}

#[test]
fn what_leaves_is_what_extraction_of_the_rest_would_give() {
    let folder = tempfile::tempdir().unwrap();
    let (dataset, space) = pictures(folder.path(), PETS);
    let mut without = options();
    without.release.exclude_classes = vec!["BEE".into(), "dog".into()];
    let released = extract(&dataset, &space, &without).unwrap();
    let other = tempfile::tempdir().unwrap();
    let (rest, _) = pictures(other.path(), &[("ant", 2), ("cat", 2)]);
    let expected = extract(&rest, &space, &options()).unwrap();
    assert_eq!(released.prompt_set, expected.prompt_set);
    assert_eq!(released.preview.json, expected.preview.json);
}

#[test]
fn excluded_images_are_not_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let (dataset, space) = pictures(folder.path(), PETS);
    let with = |classes: &[&str], strict| -> Result<Extraction> {
        let mut options = options();
        options.release.exclude_classes = classes.iter().map(|&name| name.to_owned()).collect();
        options.strict = strict;
        extract(&dataset, &space, &options)
    };
    let some = with(&["ant", "bee"], false).unwrap();
    // The place of a corrupt picture is that in the data set as it was opened.
    for skipped in &some.report.decode.skipped {
        assert_eq!(
            dataset.samples[skipped.sample].source.to_string(),
            skipped.source
        );
    }
    assert_eq!(some.report.decode.skipped.len(), 2);
    assert_eq!(some.report.left_out()["class excluded"], 8);
    for class in ["ant", "bee", "cat"] {
        std::fs::remove_file(folder.path().join(class).join("z.png")).unwrap();
    }
    let dataset = open(folder.path(), &OpenOptions::default()).unwrap();
    let mut strict = options();
    strict.strict = true;
    assert!(extract(&dataset, &space, &strict).is_err());
    strict.release.exclude_classes = vec!["dog".into()];
    assert_eq!(kept(&extract(&dataset, &space, &strict).unwrap()).len(), 3);

    let error = with(&["fox"], false).unwrap_err().to_string();
    assert!(error.contains("ant, bee, cat, dog"), "{error}");
    assert!(matches!(
        with(&["ant", "bee", "cat", "dog"], false),
        Err(Error::AllWithheld { .. })
    ));
}

#[test]
fn a_domain_is_asked_for_and_can_be_given() {
    let folder = tempfile::tempdir().unwrap();
    let (mut dataset, space) = pictures(folder.path(), PETS);
    let mut options = options();
    options.level = Level::Domain;
    assert!(matches!(
        extract(&dataset, &space, &options),
        Err(Error::DomainNeeded {
            level: Level::Domain
        })
    ));
    give_domain(&mut dataset, &Domain::try_from("site_7").unwrap());
    let extraction = extract(&dataset, &space, &options).unwrap();
    let first = &extraction.preview.prompts[0];
    assert_eq!(first.positive, "ant, site 7, high resolution");
    assert_eq!(first.domain.as_deref(), Some("site_7"));
}
