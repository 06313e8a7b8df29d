//! A classifier from labelled images: trained for a few epochs, tested, written to a file and read again.
//!
//! `cargo run --release --example learn`

use promptfed::data::{DecodeOptions, LabelledImages, OpenOptions, load, open};
use promptfed::learn::{Classifier, Recipe, evaluate};
use promptfed::synth::bundled_assets;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let recipe = Recipe {
        width: 16,
        ..Recipe::default().with(4, 7)
    };
    let (training, test) = (images("private", &recipe)?, images("test", &recipe)?);

    // Some of them choose the epoch, where there are enough.
    let held_out = recipe.hold_out(&training);
    let mut model = recipe.start(training.class_names.len())?;
    let report = recipe.train(&mut model, &held_out, None, &mut |epoch| {
        println!("epoch {}: loss {:.3}", epoch.epoch, epoch.train_loss);
    })?;
    model.set_class_names(&training.class_names)?;
    println!(
        "kept epoch {}: {}",
        report.selected_epoch + 1,
        report.selection
    );

    let file = model.to_safetensors()?;
    let read = Classifier::from_safetensors(&file)?;
    let tested = evaluate(&read, &test)?;
    println!(
        "{} bytes; accuracy {:.3}, macro F1 {:.3}",
        file.len(),
        tested.accuracy,
        tested.macro_f1
    );
    for (domain, accuracy) in &tested.per_domain {
        println!("{domain}: {accuracy:.3}");
    }
    Ok(())
}

/// The bundled drawings of this part, as the recipe sees them.
fn images(part: &str, recipe: &Recipe) -> Result<LabelledImages, Box<dyn std::error::Error>> {
    let file = bundled_assets()?.join(format!("emoji/{part}.parquet"));
    let dataset = open(&file, &OpenOptions::default())?;
    let options = DecodeOptions::default();
    Ok(load(&dataset, recipe.image_size, recipe.fit, &options)?.0)
}
