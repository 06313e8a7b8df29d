//! A labelled set of images from prompts of one's own. Stopped and run again, it goes on where it was.
//!
//! `cargo run --release --example synth`

use promptfed::prompts::{LabelSpace, Level, PromptSet, TemplateSet};
use promptfed::synth::engines::pocket::Pocket;
use promptfed::synth::{
    Generator, ImageBudget, JobSpec, PromptSource, bundled_assets, open_images, run,
};
use std::sync::atomic::AtomicBool;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let classes = LabelSpace::from_names("pets", ["cat", "dog", "fox"])?;
    let mut builder = PromptSet::builder(&classes, Level::Class, &TemplateSet::builtin("pocket")?);
    for class in classes.classes() {
        let index = classes.index_of(&class.name).ok_or("no such class")?;
        builder.add(index, None, None)?;
    }
    let prompts = PromptSource::Set {
        prompts: builder.build()?,
        label_space: classes,
    };

    // `pocket/all` is what `Pocket::bundled` loads.
    let mut engine = Pocket::load(&bundled_assets()?.join("pocket/photo"))?;
    let job = JobSpec {
        images: ImageBudget::PerPrompt(2),
        steps: 4,
        seed: 7,
        ..JobSpec::new(prompts, &engine.describe().defaults)
    };
    let out = std::env::temp_dir().join("promptfed-synth-example");
    let report = run(
        &mut engine,
        &job,
        &out,
        &mut |_| {},
        &AtomicBool::new(false),
    )?;
    println!(
        "{} images in {}, {} of them made by an earlier run",
        report.accepted,
        out.display(),
        report.resumed
    );
    for sample in open_images(&out)?.samples {
        println!("{}", sample.source);
    }
    Ok(())
}
