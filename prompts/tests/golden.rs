//! Fixes the format: a change to any byte here is a change of format and needs a new version number.
#![allow(clippy::unwrap_used)]

use promptfed_prompts::{Caption, ClassIndex, Domain, LabelSpace, Level, PromptSet, TemplateSet};

fn emoji() -> LabelSpace {
    LabelSpace::builtin("emoji").unwrap()
}

fn instance_set() -> PromptSet {
    let pocket = TemplateSet::builtin("pocket").unwrap();
    let mut builder = PromptSet::builder(&emoji(), Level::Instance, &pocket);
    builder.counts(true);
    for (class, domain, caption) in [
        (4, "twemoji", "monkey face, brown on white background"),
        (0, "noto", "castle, \"Schloß\" \\ 城"),
        (4, "twemoji", "monkey face, brown on white background"),
        (9, "noto", "sun, yellow on white background, bright"),
    ] {
        let (domain, caption) = (Domain::try_from(domain), Caption::try_from(caption));
        builder
            .add(
                ClassIndex::new(class),
                Some(domain.unwrap()),
                Some(caption.unwrap()),
            )
            .unwrap();
    }
    builder.build().unwrap()
}

#[test]
fn the_file_is_pinned() {
    let set = instance_set();
    assert_eq!(set.to_json(), include_str!("golden/instance.json"));
    assert_eq!(
        set.hash().to_string(),
        "ec65b1d8b58829a8bd6c3de5b3c491e1bdab0995ca3a1cb5ce405c1dabbb033c"
    );
    assert_eq!(
        emoji().hash().to_string(),
        "86d6498628972a1c0c880ed775f7d155c9bfc72ce57f782056c743a8660967d6"
    );
}

#[test]
#[ignore = "rewrites the golden files; for a new format version only"]
fn regenerate() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let set = instance_set();
    std::fs::write(format!("{folder}/instance.json"), set.to_json()).unwrap();
    std::fs::write(format!("{folder}/instance.pfps"), set.to_wire()).unwrap();
    println!("set {}\nlabel space {}", set.hash(), emoji().hash());
}

#[test]
fn the_wire_bytes_are_pinned() {
    let golden = include_bytes!("golden/instance.pfps");
    assert_eq!(
        PromptSet::from_wire(golden, &emoji()).unwrap(),
        instance_set()
    );
    // Other releases of zstd may compress to other bytes; readers take both.
    assert_eq!(instance_set().to_wire(), golden);
}

/// Ten class-level prompts: what one client of the published experiments sends.
#[test]
fn ten_class_level_prompts_are_small() {
    let classes = LabelSpace::builtin("imagenette").unwrap();
    let mut builder = PromptSet::builder(
        &classes,
        Level::Class,
        &TemplateSet::builtin("fgl").unwrap(),
    );
    for class in 0..10 {
        builder.add(ClassIndex::new(class), None, None).unwrap();
    }
    let set = builder.build().unwrap();
    println!("{}{} bytes on the wire", set.to_json(), set.to_wire().len());
    assert!(set.to_wire().len() < 300);
}
