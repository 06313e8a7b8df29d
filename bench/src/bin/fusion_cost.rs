//! What choosing and weighing images costs beside making them and training on them: the three bundled generators' images of the emoji
//! classes, fused in several ways, each trained on. Prints one JSON object for each way, the seconds of every stage in it.
//!
//! usage: fusion_cost FOLDER [IMAGES] [EPOCHS]
//!
//! IMAGES (3000) are made by all generators together, a third of them is kept, and the central model is trained on those for EPOCHS (30).
//! FOLDER holds the sets and is gone on with: for times, give an empty one.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use promptfed_learn::Recipe;
use promptfed_prompts::{ClassIndex, Domain, LabelSpace, Level, PromptSet, TemplateSet};
use promptfed_synth::engines::pocket::Pocket;
use promptfed_synth::fuse::select::Mode;
use promptfed_synth::fuse::{
    Aids, Cost, FuseSpec, QuotaSource, SoftLabels, WeightAdjustment, fuse, load_fused,
};
use promptfed_synth::{
    Generator, ImageBudget, JobSpec, PromptSource, Spread, SyntheticSet, bundled_assets, run,
};
use promptfed_vision::EfficientNet;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: promptfed_allocator::MiMalloc = promptfed_allocator::MiMalloc;

/// The bundled generators.
const BACKENDS: [&str; 3] = ["all", "photo", "draw"];

/// Drawing styles that prompts ask for.
const DOMAINS: [&str; 3] = ["noto", "fluent", "flat"];

/// The side of the images.
const SIZE: usize = 32;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (folder, numbers) = words
        .split_first()
        .context("give a folder for the sets, and the number of images and epochs")?;
    let number = |place: usize, default: u64| match numbers.get(place) {
        Some(text) => text.parse().with_context(|| text.clone()),
        None => Ok(default),
    };
    let (images, epochs) = (number(0, 3000)?, number(1, 30)?);
    if images < 300 || numbers.len() > 2 {
        bail!("give a folder, 300 images or more, and the epochs");
    }
    let folder = Path::new(folder);
    let (sets, generation) = make(folder, images / BACKENDS.len() as u64)?;
    let network = EfficientNet::load(&bundled_assets()?.join("efficientnet-lite0"))?;
    for (name, spec) in ways(images / 3)? {
        let out = folder.join(format!("fused-{}", name.replace([' ', ',', '+'], "-")));
        let aids = Aids {
            network: spec.needs_network().then_some(&network),
            feedback: None,
        };
        let never = AtomicBool::new(false);
        let report = fuse(sets.clone(), &spec, aids, &out, &mut |_| {}, &never)?;
        let stages = Cost::read(&out)?;
        let choosing = stages.total();
        let training = train(&out, epochs as usize)?;
        println!(
            "{}",
            json!({
                "way": name, "made": report.made, "trained_on": report.chosen, "generation_seconds": generation,
                "choosing_seconds": choosing, "training_seconds": training, "stages": stages.seconds,
                "share_of_generation_and_training": choosing / (generation + training),
            })
        );
    }
    Ok(())
}

/// The sets of all generators, `images` each, and the seconds that they took.
fn make(folder: &Path, images: u64) -> Result<(Vec<SyntheticSet>, f64)> {
    let label_space = LabelSpace::builtin("emoji")?;
    let templates = TemplateSet::builtin("pocket")?;
    let mut builder = PromptSet::builder(&label_space, Level::Domain, &templates);
    for class in 0..label_space.len() as u32 {
        for domain in DOMAINS {
            builder.add(
                ClassIndex::new(class),
                Some(Domain::try_from(domain)?),
                None,
            )?;
        }
    }
    let prompts = builder.build()?;
    let mut sets = Vec::new();
    let mut seconds = 0.0;
    for name in BACKENDS {
        let mut engine = Pocket::load(&bundled_assets()?.join("pocket").join(name))?;
        let source = PromptSource::Set {
            prompts: prompts.clone(),
            label_space: label_space.clone(),
        };
        let job = JobSpec {
            images: ImageBudget::Total {
                images,
                spread: Spread::ClassBalanced,
            },
            ..JobSpec::new(source, &engine.describe().defaults)
        };
        let place = folder.join(name);
        let (start, never) = (Instant::now(), AtomicBool::new(false));
        run(&mut engine, &job, &place, &mut |_| {}, &never)?;
        seconds += start.elapsed().as_secs_f64();
        sets.push(SyntheticSet::open(&place, name, 0)?);
    }
    Ok((sets, seconds))
}

/// The ways that are timed.
fn ways(keep: u64) -> Result<Vec<(&'static str, FuseSpec)>> {
    let of = |mode: &str| -> Result<FuseSpec> {
        let mode = mode.parse::<Mode>().map_err(anyhow::Error::msg)?;
        Ok(FuseSpec::new(mode, Some(keep)))
    };
    let by_transfer = |mode: &str| -> Result<FuseSpec> {
        Ok(FuseSpec {
            quotas: Some(QuotaSource::Transfer),
            ..of(mode)?
        })
    };
    Ok(vec![
        ("random", of("random")?),
        ("random, quotas by transfer", by_transfer("random")?),
        ("influence+cartography", of("influence+cartography")?),
        (
            "random, soft labels",
            FuseSpec {
                soft_labels: Some(SoftLabels { share: 0.5 }),
                ..of("random")?
            },
        ),
        ("diversity", of("diversity")?),
        (
            "influence+cartography, quotas by transfer, weights adjusted 5 times",
            FuseSpec {
                weights: Some(WeightAdjustment { iterations: 5 }),
                ..by_transfer("influence+cartography")?
            },
        ),
    ])
}

/// Trains the central model on a fused set, and gives the seconds that it took, reading included.
fn train(fused: &Path, epochs: usize) -> Result<f64> {
    let start = Instant::now();
    let (images, supervision) = load_fused(fused, SIZE)?;
    let recipe = Recipe::default().with(epochs, 0);
    let mut model = recipe.start(images.class_names.len())?;
    let held_out = recipe.hold_out_supervised(&images, &supervision)?;
    recipe.train(&mut model, &held_out, None, &mut |_| ())?;
    Ok(start.elapsed().as_secs_f64())
}
