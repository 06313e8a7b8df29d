//! What would leave a client: prompts of private images with rules of release, and how much they tell. Nothing is sent.
//!
//! `cargo run --release --example client`

use promptfed::client::{ExtractOptions, ReleaseRules, extract};
use promptfed::data::{OpenOptions, open};
use promptfed::prompts::{LabelSpace, Level, TemplateSet};
use promptfed::synth::bundled_assets;
use std::num::NonZeroU32;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let classes = LabelSpace::builtin("emoji")?;
    let options = OpenOptions {
        label_space: Some(classes.clone()),
        ..OpenOptions::default()
    };
    let private = open(&bundled_assets()?.join("emoji/private.parquet"), &options)?;

    let mut telling = ExtractOptions::new(Level::Domain, TemplateSet::builtin("pocket")?);
    telling.release = ReleaseRules {
        min_group: NonZeroU32::new(8),
        ..ReleaseRules::default()
    };
    let extraction = extract(&private, &classes, &telling)?;

    let preview = &extraction.preview;
    for prompt in preview.prompts.iter().take(8) {
        println!("{:4} images: {}", prompt.images, prompt.positive);
    }
    println!(
        "{} prompts in {} bytes; every one stands for {} images or more",
        preview.prompts.len(),
        preview.wire_bytes,
        preview.smallest_group
    );
    let withheld = &extraction.report.withheld;
    println!("kept here: what {} images would tell", withheld.images());
    Ok(())
}
