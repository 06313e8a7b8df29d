//! Two generators' images made into one set by reference, ready for training.
//!
//! `cargo run --release --example fuse`

use promptfed::prompts::{LabelSpace, Level, PromptSet, TemplateSet};
use promptfed::synth::engines::pocket::Pocket;
use promptfed::synth::fuse::select::Mode;
use promptfed::synth::fuse::{Aids, FuseSpec, fuse, load_fused};
use promptfed::synth::{
    Generator, ImageBudget, JobSpec, PromptSource, SyntheticSet, bundled_assets, run,
};
use std::sync::atomic::AtomicBool;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let classes = LabelSpace::from_names("pets", ["cat", "dog"])?;
    let mut builder = PromptSet::builder(&classes, Level::Class, &TemplateSet::builtin("pocket")?);
    for name in ["cat", "dog"] {
        builder.add(classes.index_of(name).ok_or("no such class")?, None, None)?;
    }
    let prompts = builder.build()?;

    let (assets, never) = (bundled_assets()?, AtomicBool::new(false));
    let place = std::env::temp_dir().join("promptfed-fuse-example");
    let mut sets = Vec::new();
    for name in ["photo", "draw"] {
        let mut engine = Pocket::load(&assets.join("pocket").join(name))?;
        let source = PromptSource::Set {
            prompts: prompts.clone(),
            label_space: classes.clone(),
        };
        let job = JobSpec {
            images: ImageBudget::PerPrompt(4),
            steps: 2,
            ..JobSpec::new(source, &engine.describe().defaults)
        };
        let folder = place.join(name);
        run(&mut engine, &job, &folder, &mut |_| {}, &never)?;
        sets.push(SyntheticSet::open(&folder, name, 0)?);
    }

    let spec = FuseSpec::new(Mode::Random, Some(8));
    let out = place.join("fused");
    let report = fuse(sets, &spec, Aids::default(), &out, &mut |_| {}, &never)?;
    for part in &report.backends {
        println!("{}: {} of {} images", part.name, part.chosen, part.made);
    }
    let (images, supervision) = load_fused(&out, 32)?;
    println!(
        "{} images of {} x {} pixels, {}",
        images.len(),
        images.size,
        images.size,
        match supervision.weights {
            Some(_) => "with weights",
            None => "all of one weight",
        }
    );
    Ok(())
}
