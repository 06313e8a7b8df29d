//! The texts of published prompts and the classes of published label sets, letter by letter.
#![allow(clippy::unwrap_used)]

use promptfed_prompts::{ClassEntry, ClassIndex, Domain, Error, LabelSpace, Level, TemplateSet};

fn render(set: &str, level: Level, domain: Option<&str>, label: &str) -> (String, String) {
    let set = TemplateSet::builtin(set).unwrap();
    let key = domain.map(|domain| Domain::try_from(domain).unwrap());
    let text = set
        .for_prompt(level, key.as_ref())
        .unwrap()
        .render(label, domain, Some("CAPTION"));
    (text.positive, text.negative)
}

#[test]
fn fgl_photographs() {
    let low = "low quality, low resolution".to_owned();
    assert_eq!(
        render("fgl", Level::Class, None, "tench"),
        (
            "tench, real world images, high resolution ".to_owned(),
            low.clone()
        )
    );
    assert_eq!(
        render("fgl", Level::Instance, None, "tench"),
        (
            "tench, CAPTION, real world images, high resolution.".to_owned(),
            low
        )
    );
}

#[test]
fn fgl_domainnet() {
    let low = "low quality, low resolution";
    for (domain, positive, negative) in [
        (
            "sketch",
            "axe, Sketch drawing with only one object in the picture",
            low,
        ),
        (
            "real",
            "axe, real world images, high resolution, only one object in the picture",
            low,
        ),
        (
            "quickdraw",
            "a black and white drawing of an axe",
            "colorful, painting",
        ),
        (
            "painting",
            "axe, painting with only one object in the picture, high resolution",
            low,
        ),
        (
            "infograph",
            "axe, infograph images with only one object in the picture, including text descriptions of the object's components.",
            low,
        ),
        (
            "clipart",
            "axe, clippart, cartoon style, single object.",
            low,
        ),
    ] {
        assert_eq!(
            render("fgl-domainnet", Level::Domain, Some(domain), "axe"),
            (positive.to_owned(), negative.to_owned())
        );
    }
    assert_eq!(
        render("fgl-domainnet", Level::Domain, Some("quickdraw"), "clock").0,
        "a black and white drawing of a clock"
    );
}

#[test]
fn pocket_speaks_the_phrases_it_was_trained_on() {
    let positive = |level, domain| render("pocket", level, domain, "elephant");
    for (domain, phrase) in [
        ("photo", "a photo of a elephant"),
        ("sketch", "a sketch of a elephant"),
        ("cartoon", "a cartoon of a elephant"),
        ("art_painting", "a painting of a elephant"),
        ("noto", "a noto style emoji of a elephant"),
        ("blob", "a blob style emoji of a elephant"),
        ("twemoji", "a twemoji style emoji of a elephant"),
        ("emojione", "a emojione style emoji of a elephant"),
        ("fluent", "a fluent style emoji of a elephant"),
        ("flat", "a flat style emoji of a elephant"),
        ("contrast", "a contrast style emoji of a elephant"),
    ] {
        assert_eq!(
            positive(Level::Domain, Some(domain)),
            (phrase.to_owned(), String::new())
        );
        assert_eq!(
            positive(Level::Instance, Some(domain)),
            (format!("{phrase}, CAPTION"), String::new())
        );
    }
    assert_eq!(positive(Level::Class, None).0, "a elephant");
    assert_eq!(positive(Level::Class, Some("noto")).0, "a elephant");
}

#[test]
fn photographs_in_plain_words() {
    let positive = |level, domain| render("photo", level, domain, "owl");
    for (domain, phrase) in [
        (None, "a photo of an owl"),
        (Some("photo"), "a photo of an owl"),
        (Some("real"), "a photo of an owl"),
        (Some("sketch"), "a sketch of an owl"),
        (Some("art_painting"), "a painting of an owl"),
        (Some("clipart"), "clip art of an owl"),
        (Some("watercolour"), "an owl, watercolour"),
    ] {
        let told = format!("{phrase}, CAPTION");
        assert_eq!(positive(Level::Instance, domain), (told, String::new()));
        if domain.is_some() {
            assert_eq!(positive(Level::Domain, domain).0, phrase);
        }
    }
    assert_eq!(
        positive(Level::Class, Some("sketch")).0,
        "a photo of an owl"
    );
}

#[test]
fn unknown_domain_falls_back_or_is_named() {
    let watercolour = Domain::try_from("watercolour").unwrap();
    let error = TemplateSet::from_toml(
        "name = \"own\"\n[[templates]]\nlevel = \"domain\"\ndomains = [\"art_painting\"]\npositive = \"{label}\"",
    )
    .unwrap()
    .for_prompt(Level::Domain, Some(&watercolour))
    .unwrap_err();
    assert!(matches!(&error, Error::NoTemplate { domain: Some(d), .. } if *d == watercolour));
    assert!(
        error.to_string().contains("domain `watercolour`"),
        "{error}"
    );
    assert!(error.to_string().contains("`art_painting`"), "{error}");

    let set = TemplateSet::from_toml(
        r#"
        name = "own"
        [[templates]]
        level = "domain"
        domains = ["Photo"]
        positive = "a photo of {a label}"
        [[templates]]
        level = "domain"
        any_domain = true
        positive = "{a label}, {domain}"
        "#,
    )
    .unwrap();
    let of = |domain: &str| {
        let domain = Domain::try_from(domain).unwrap();
        let template = set.for_prompt(Level::Domain, Some(&domain)).unwrap();
        template.render("owl", Some(domain.as_str()), None).positive
    };
    assert_eq!(of("photo"), "a photo of an owl");
    assert_eq!(of("watercolour"), "an owl, watercolour");
    assert!(set.for_prompt(Level::Domain, None).is_err());
    assert!(set.for_prompt(Level::Instance, Some(&watercolour)).is_err());
}

#[test]
fn every_built_in_set_has_words_for_every_level_and_domain() {
    for name in TemplateSet::builtin_names() {
        let set = TemplateSet::builtin(name).unwrap();
        for domain in [
            "pencil sketch",
            "oil painting",
            "dslr",
            "amazon",
            "jiangxi_tecom",
        ] {
            let key = Domain::try_from(domain).unwrap();
            for level in Level::ALL {
                let template = set.for_prompt(level, Some(&key)).unwrap();
                let text = template
                    .render("hour_glass", Some(domain), Some("CAPTION"))
                    .positive;
                let says = |part: &str| text.contains(part);
                assert!(says("hour glass"), "{name}: {text}");
                assert_eq!(
                    says(&domain.replace('_', " ")),
                    level.has_domain(),
                    "{name}: {text}"
                );
                assert_eq!(says("CAPTION"), level.has_caption(), "{name}: {text}");
                assert!(!says("_") && !says("{"), "{name}: {text}");
            }
        }
        for level in [Level::Class, Level::Instance] {
            assert!(set.for_prompt(level, None).is_ok(), "{name}");
        }
        assert!(set.for_prompt(Level::Domain, None).is_err(), "{name}");
    }
    let other = |set, label, domain| render(set, Level::Domain, Some(domain), label).0;
    assert_eq!(
        other("pocket", "elephant", "pencil sketch"),
        "an elephant, pencil sketch"
    );
    assert_eq!(
        other("pocket", "dog", "jiangxi_tecom"),
        "a dog, jiangxi tecom"
    );
    assert_eq!(
        other("pocket", "dog", "Art Painting"),
        "a painting of a dog"
    );
    assert_eq!(other("fgl", "dog", "dslr"), "dog, dslr, high resolution");
    assert_eq!(
        other("fgl-domainnet", "dog", "dslr"),
        "dog, dslr, only one object in the picture, high resolution"
    );
}

#[test]
fn a_label_space_file_comes_back() {
    for name in LabelSpace::builtin_names() {
        let space = LabelSpace::builtin(name).unwrap();
        assert_eq!(LabelSpace::from_toml(&space.to_toml()).unwrap(), space);
    }
    let odd = LabelSpace::new(
        "a \"name\"",
        vec![
            entry("T-shirt/top", Some("it's a 'T' \\ shirt"), &["[x]", "# y"]),
            entry("US", None, &[]),
            entry("us", None, &[]),
            entry("城", None, &["=", "true"]),
        ],
    )
    .unwrap();
    let file = odd.to_toml();
    assert_eq!(LabelSpace::from_toml(&file).unwrap(), odd, "{file}");
    assert!(file.contains("prompt_name") && file.contains("aliases"));
}

#[test]
fn template_files_are_checked() {
    let refused = |body: &str, says: &str| {
        let error = TemplateSet::from_toml(&format!("name = \"x\"\n{body}")).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    };
    refused(
        "[[templates]]\nlevel = \"class\"\npositive = \"{label} {caption}\"",
        "templates[0]: {caption} has no value",
    );
    refused(
        "[[templates]]\nlevel = \"class\"\ndomains = [\"a\"]\npositive = \"{label}\"",
        "class-level template cannot have domains",
    );
    refused(
        "[[templates]]\nlevel = \"instance\"\npositive = \"{label}\"",
        "names no caption",
    );
    refused(
        "[[templates]]\nlevel = \"domain\"\nany_domain = true\npositive = \"{label}\"",
        "must use {domain}",
    );
    refused(
        "[[templates]]\nlevel = \"domain\"\ndomains = [\"a\", \"A\"]\npositive = \"{label}\"",
        "already a template of this level for domain `A`",
    );
    refused(
        "[[templates]]\nlevel = \"best\"\npositive = \"{label}\"",
        "line 3",
    );
    refused(
        "[[templates]]\nlevels = \"class\"\npositive = \"{label}\"",
        "levels",
    );
}

#[test]
fn label_spaces_have_the_published_classes() {
    let names = |space: &str| -> Vec<String> {
        let space = LabelSpace::builtin(space).unwrap();
        space
            .classes()
            .iter()
            .map(|class| class.name.clone())
            .collect()
    };
    assert_eq!(
        names("imagenette"),
        [
            "tench",
            "English springer",
            "cassette player",
            "chain saw",
            "church",
            "French horn",
            "garbage truck",
            "gas pump",
            "golf ball",
            "parachute"
        ]
    );
    assert_eq!(
        names("imagefruit"),
        [
            "pineapple",
            "banana",
            "strawberry",
            "orange",
            "lemon",
            "pomegranate",
            "fig",
            "bell pepper",
            "cucumber",
            "Granny Smith"
        ]
    );
    assert_eq!(
        names("imageyellow"),
        [
            "bee",
            "yellow lady's slipper",
            "banana",
            "lemon",
            "corn",
            "school bus",
            "honeycomb",
            "lion",
            "black and gold garden spider",
            "goldfinch"
        ]
    );
    assert_eq!(
        names("imagesquawk"),
        [
            "peacock",
            "flamingo",
            "macaw",
            "pelican",
            "king penguin",
            "bald eagle",
            "toucan",
            "ostrich",
            "black swan",
            "sulphur-crested cockatoo"
        ]
    );
    assert_eq!(
        names("pacs"),
        [
            "dog", "elephant", "giraffe", "guitar", "horse", "house", "person"
        ]
    );
    assert_eq!(
        names("domainnet10"),
        [
            "airplane",
            "clock",
            "axe",
            "basketball",
            "bicycle",
            "bird",
            "strawberry",
            "flower",
            "pizza",
            "bracelet"
        ]
    );
    assert_eq!(
        names("emoji"),
        [
            "building",
            "dish of food",
            "fruit",
            "hand gesture",
            "mammal",
            "piece of clothing",
            "smiley face",
            "tool",
            "vehicle",
            "weather symbol"
        ]
    );
    assert_eq!(LabelSpace::builtin_names().len(), 7);
    assert!(matches!(
        LabelSpace::builtin("cifar"),
        Err(Error::UnknownBuiltin { .. })
    ));
}

#[test]
fn classes_are_found_by_any_of_their_names() {
    let space = LabelSpace::builtin("imagefruit").unwrap();
    for name in [
        "orange",
        "Orange",
        "fruit: orange",
        "n07747607",
        "N07747607",
    ] {
        assert_eq!(space.index_of(name), Some(ClassIndex::new(3)), "{name}");
    }
    assert_eq!(space.index_of("granny_smith"), Some(ClassIndex::new(9)));
    assert_eq!(space.index_of("kiwi"), None);
    assert_eq!(space.prompt_name(ClassIndex::new(3)), Some("fruit: orange"));
    assert_eq!(space.class_name(ClassIndex::new(3)), Some("orange"));
    assert_eq!(space.class_name(ClassIndex::new(10)), None);
}

fn entry(name: &str, prompt_name: Option<&str>, aliases: &[&str]) -> ClassEntry {
    ClassEntry {
        name: name.into(),
        prompt_name: prompt_name.map(Into::into),
        aliases: aliases.iter().map(|&alias| alias.into()).collect(),
    }
}

#[test]
fn the_hash_covers_what_prompts_mean() {
    let space = |entries| LabelSpace::new("x", entries).unwrap();
    let plain = space(vec![entry("kite", None, &[]), entry("crane", None, &[])]);
    let bird = space(vec![
        entry("kite", Some("kite, bird of prey"), &[]),
        entry("crane", None, &[]),
    ]);
    let swapped = space(vec![entry("crane", None, &[]), entry("kite", None, &[])]);
    let aliased = space(vec![
        entry("kite", None, &["n01608432"]),
        entry("crane", None, &[]),
    ]);
    assert_ne!(plain.hash(), bird.hash());
    assert_ne!(plain.hash(), swapped.hash());
    assert_eq!(plain.hash(), aliased.hash());
    assert_eq!(
        plain.hash(),
        LabelSpace::from_names("other", ["kite", "crane"])
            .unwrap()
            .hash()
    );
    let json = serde_json::to_string(&bird).unwrap();
    assert_eq!(serde_json::from_str::<LabelSpace>(&json).unwrap(), bird);
}

#[test]
fn files_of_another_form_are_told_in_plain_words() {
    for text in [
        "name = \"x\"\nclasses = [\"cat\", \"dog\"]",
        "name = \"x\"\n[classes]\ncat = 1",
    ] {
        let told = LabelSpace::from_toml(text).unwrap_err().to_string();
        assert!(
            !told.contains("struct") && !told.contains("sequence"),
            "{told}"
        );
        assert!(told.contains("line 2") && !told.contains("map"), "{told}");
    }
    let told = LabelSpace::from_toml("name = \"x\"\nclasses = [\"cat\"]").unwrap_err();
    assert!(told.to_string().contains("[[classes]]"), "{told}");
    let told = TemplateSet::from_toml("name = \"x\"\ntemplates = [\"a {label}\"]").unwrap_err();
    let told = told.to_string();
    assert!(
        !told.contains("struct") && told.contains("[[templates]]"),
        "{told}"
    );
}

#[test]
fn label_spaces_are_checked() {
    let refused = |entries: Vec<ClassEntry>, says: &str| {
        let error = LabelSpace::new("x", entries).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    };
    refused(vec![], "0 classes");
    refused(
        vec![entry("a", None, &[]), entry("b", None, &["A"])],
        "classes[1].aliases: `A` already means class 0",
    );
    refused(
        vec![entry("a\u{7}", None, &[])],
        "classes[0].name: control character U+0007",
    );
    refused(
        vec![entry(" ", None, &[])],
        "classes[0].name: the text is empty",
    );
    refused(
        vec![entry(&"a".repeat(121), None, &[])],
        "above the limit of 120",
    );
    assert!(LabelSpace::new("x", vec![entry("a", Some("a"), &["A"])]).is_ok());
    assert!(serde_json::from_str::<LabelSpace>(r#"{"name":"x","classes":[]}"#).is_err());
}
