//! The bundled drawings at every level: what would leave, and how many bytes.
#![allow(clippy::unwrap_used)]

use promptfed_client::{ExtractOptions, captioner, extract};
use promptfed_data::{OpenOptions, open};
use promptfed_prompts::{LabelSpace, Level, PromptSet, TemplateSet};

#[test]
fn every_level() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../assets/emoji/private.parquet"
    );
    let classes = LabelSpace::builtin("emoji").unwrap();
    let options = OpenOptions {
        label_space: Some(classes.clone()),
        ..OpenOptions::default()
    };
    let dataset = open(path.as_ref(), &options).unwrap();
    let mut sizes = Vec::new();
    for (level, captions) in [
        (Level::Class, "none"),
        (Level::Domain, "none"),
        (Level::Instance, "attributes"),
        (Level::Instance, "metadata+attributes"),
    ] {
        let mut options = ExtractOptions::new(level, TemplateSet::builtin("pocket").unwrap());
        options.captioner = captioner(captions).unwrap();
        let extraction = extract(&dataset, &classes, &options).unwrap();
        let preview = &extraction.preview;
        println!(
            "{level} {captions}: {} prompts, {} bytes, {} for one image, {}",
            preview.prompts.len(),
            preview.wire_bytes,
            preview.single_image_prompts,
            preview.prompts[0].positive
        );
        assert_eq!(extraction.report.used, dataset.len());
        let arrived = PromptSet::from_wire(&extraction.prompt_set.to_wire(), &classes).unwrap();
        assert_eq!(arrived, extraction.prompt_set);
        sizes.push(preview.prompts.len());
    }
    assert_eq!(sizes[..2], [10, 70]);
    assert!(
        sizes.is_sorted(),
        "each level tells more than the one before"
    );
}
