//! Which classes prompts can say in words.
#![allow(clippy::unwrap_used)]

use promptfed_client::{
    Error, check_class_words, check_label_space_words, give_domain, without_domain,
};
use promptfed_data::{Dataset, ImageSource, NO_DOMAIN, Sample};
use promptfed_prompts::{ClassEntry, Domain, LabelSpace};

fn entry(name: &str, prompt_name: Option<&str>) -> ClassEntry {
    ClassEntry {
        name: name.to_owned(),
        prompt_name: prompt_name.map(str::to_owned),
        aliases: Vec::new(),
    }
}

fn space(names: &[&str]) -> LabelSpace {
    LabelSpace::from_names("test", names.iter().copied()).unwrap()
}

/// A data set with one sample for each of these labels and domains.
fn dataset(classes: &[&str], domains: &[&str], samples: &[(u32, Option<u32>)]) -> Dataset {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let sample = |&(label, domain): &(u32, Option<u32>)| Sample {
        label,
        domain,
        caption: None,
        source: ImageSource::File("x.png".into()),
    };
    Dataset {
        class_names: owned(classes),
        domain_names: owned(domains),
        samples: samples.iter().map(sample).collect(),
        ..Dataset::default()
    }
}

#[test]
fn classes_that_prompts_would_say_alike_are_refused_with_both_names() {
    for [one, other] in [
        ["a b", "a_b"],
        ["US", "us"],
        ["Golden_Retriever", "golden retriever"],
    ] {
        let told = check_label_space_words(&space(&[one, "dog", other])).unwrap_err();
        assert!(
            matches!(&told, Error::SameWords { classes, .. } if classes == &[one, other]),
            "{told}"
        );
        assert!(told.to_string().contains("prompt_name"), "{told}");
    }
    check_label_space_words(&space(&["HER2+", "HER2-", "a b", "a-b"])).unwrap();
    let named = [entry("a b", Some("a box")), entry("c_d", None)];
    check_label_space_words(&LabelSpace::new("test", named.into()).unwrap()).unwrap();
}

#[test]
fn every_built_in_label_space_can_be_said() {
    for name in LabelSpace::builtin_names() {
        check_label_space_words(&LabelSpace::builtin(name).unwrap()).unwrap();
    }
}

#[test]
fn only_classes_that_have_pictures_count() {
    let classes = ["a b", "a_b", "7"];
    let one = dataset(&classes, &[], &[(0, None), (0, None)]);
    check_class_words(&one, &space(&classes)).unwrap();
    let two = dataset(&classes, &[], &[(0, None), (1, None)]);
    assert!(matches!(
        check_class_words(&two, &space(&classes)),
        Err(Error::SameWords { .. })
    ));
    let number = dataset(&classes, &[], &[(2, None)]);
    assert!(matches!(
        check_class_words(&number, &space(&classes)),
        Err(Error::ClassWithoutWords { class }) if class == "7"
    ));
}

#[test]
fn counted_classes_need_words_of_their_own() {
    let birds = ["001.Black_footed_Albatross", "002.Laysan_Albatross"];
    let told = check_label_space_words(&space(&birds)).unwrap_err();
    assert!(matches!(&told, Error::CountedClasses { class } if class == birds[0]));
    assert!(told.to_string().contains("label-space from"), "{told}");
    check_label_space_words(&LabelSpace::from_counted_names("test", birds).unwrap()).unwrap();
    let twice = LabelSpace::from_counted_names("test", ["001.Wren", "002.Wren", "003.Jay"]);
    assert!(matches!(
        check_label_space_words(&twice.unwrap()),
        Err(Error::CountedClasses { class }) if class == "001.Wren"
    ));
    // What is not counted as a whole keeps its names.
    check_label_space_words(&space(&["1.FC", "dog"])).unwrap();
    check_label_space_words(&space(&["1.FC"])).unwrap();
}

#[test]
fn a_domain_is_given_to_the_samples_without_one() {
    let photo = Domain::try_from("photo").unwrap();
    let names_of = |dataset: &Dataset| -> Vec<String> {
        let domains = dataset.samples.iter().map(|s| s.domain.unwrap() as usize);
        domains.map(|d| dataset.domain_names[d].clone()).collect()
    };
    for (domains, given, expected) in [
        (&[][..], [None, None, None], ["photo", "photo", "photo"]),
        (
            &[NO_DOMAIN, "sketch"],
            [Some(0), Some(1), Some(0)],
            ["photo", "sketch", "photo"],
        ),
        (
            &["art", NO_DOMAIN, "photo"],
            [Some(0), Some(1), Some(2)],
            ["art", "photo", "photo"],
        ),
    ] {
        let samples = given.map(|domain| (0, domain));
        let mut dataset = dataset(&["dog"], domains, &samples);
        assert!(!without_domain(&dataset).is_empty());
        give_domain(&mut dataset, &photo);
        assert_eq!(names_of(&dataset), expected);
        assert!(without_domain(&dataset).is_empty());
    }
    let all = dataset(&["dog"], &["art"], &[(0, Some(0))]);
    assert!(without_domain(&all).is_empty());
}
