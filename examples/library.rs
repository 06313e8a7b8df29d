//! The loop as a library: private images -> prompts -> synthetic images -> a classifier.
//!
//! `cargo run --release --example library` reads the bundled drawings and tests on drawings the generator was not shown.

use promptfed::client::{ExtractOptions, captioner, extract};
use promptfed::data::{DecodeOptions, Fit, OpenOptions, load, open};
use promptfed::learn::{Classifier, ClassifierConfig, TrainConfig, evaluate, train};
use promptfed::prompts::{LabelSpace, Level, TemplateSet};
use promptfed::synth::engines::pocket::Pocket;
use promptfed::synth::{Generator, JobSpec, PromptSource, bundled_assets, load_images, run};
use std::sync::atomic::AtomicBool;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let assets = bundled_assets()?;
    let classes = LabelSpace::builtin("emoji")?;
    let options = OpenOptions {
        label_space: Some(classes.clone()),
        ..OpenOptions::default()
    };
    let private = open(&assets.join("emoji/private.parquet"), &options)?;
    let test = open(&assets.join("emoji/test.parquet"), &options)?;

    let mut telling = ExtractOptions::new(Level::Instance, TemplateSet::builtin("pocket")?);
    telling.captioner = captioner("metadata+attributes")?;
    let extraction = extract(&private, &classes, &telling)?;
    println!("{} bytes of prompts leave", extraction.preview.wire_bytes);

    let (mut pocket, never) = (Pocket::bundled()?, AtomicBool::new(false));
    let prompts = PromptSource::Set {
        prompts: extraction.prompt_set,
        label_space: classes.clone(),
    };
    let job = JobSpec::new(prompts, &pocket.describe().defaults);
    let out = std::env::temp_dir().join("promptfed-library-example");
    let report = run(&mut pocket, &job, &out, &mut |_| {}, &never)?;
    println!("{} images in {}", report.accepted, out.display());

    let images = load_images(&out, 32)?;
    let mut classifier = Classifier::new(ClassifierConfig::new(classes.len(), images.size), 0)?;
    train(
        &mut classifier,
        &images,
        None,
        &TrainConfig::default(),
        &mut |_| {},
    )?;
    let (test, _) = load(&test, images.size, Fit::Crop, &DecodeOptions::default())?;
    let accuracy = evaluate(&classifier, &test)?.accuracy;
    println!("accuracy {accuracy:.3}");
    Ok(())
}
