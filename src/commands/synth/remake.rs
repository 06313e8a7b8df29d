//! `promptfed synth remake`: a picture drawn again.

use crate::Context;
use crate::commands::engines::EngineArgs;
use crate::exit::{BadInput, for_terminal};
use anyhow::Result;
use clap::Args as ClapArgs;
use promptfed_files::{prove_writable, write_whole};
use promptfed_prompts::ContentHash;
use promptfed_synth::engines::sd::{LoadOptions, LongPrompts, Precision, Settings};
use promptfed_synth::registry::{PocketWeights, Prepared, SdModel};
use promptfed_synth::{EngineInfo, GenerationRecord, Generator, RecordedImage, Reproducible};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Draw a picture again from the record in its file, and say whether the pixels are the same.
///
/// The bundled weights and downloaded models are found by the record; name others with --engine. They are the same weights or nothing is drawn. On
/// the kind of processor that made the picture, `pocket` and `sd` draw the same pixels.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// A PNG file that `promptfed synth` made
    file: PathBuf,
    /// The new picture, a PNG file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace what is at --out
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    engines: EngineArgs,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Shown {
    file: String,
    out: String,
    engine: String,
    equal: bool,
    differing_pixels: u64,
    largest_difference: u8,
    pixel_hash: ContentHash,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let there = RecordedImage::read(&args.file)?;
    let record = &there.record;
    if args.out.exists() && !args.force {
        return Err(bad(format!(
            "{} is there; give another name with --out, or --force to replace it",
            args.out.display()
        )));
    }
    prove_writable(&args.out)?;
    // One that the command line names was chosen before, and stays.
    if let Some(Ok(precision)) = record.settings.get("precision").map(|text| text.parse()) {
        Precision::choose(precision);
    }
    let (name, mut engine) = engine(args, record, context)?;
    let request = record.request();
    if let Some(fault) = engine.fault(&request) {
        return Err(bad(format!("{}: {fault}", args.file.display())));
    }
    let image = engine
        .generate(&[request])?
        .pop()
        .ok_or_else(|| anyhow::Error::msg(format!("the engine {name} gave no image")))?;
    let new = record.redrawn(engine.describe(), &image);
    write_whole(&args.out, &new.png(&image)?)?;
    let difference = there.difference(&image);
    let shown = Shown {
        file: args.file.display().to_string(),
        out: args.out.display().to_string(),
        equal: new.pixel_hash == record.pixel_hash,
        differing_pixels: difference.pixels,
        largest_difference: difference.largest,
        pixel_hash: new.pixel_hash,
        engine: name,
    };
    if context.json {
        println!("{}", serde_json::to_string(&shown)?);
        return Ok(());
    }
    println!("{}", told(&shown));
    if !there.is_intact() {
        eprintln!("warning: {} was edited since it was made", shown.file);
    }
    if !shown.equal {
        for reason in reasons(record, engine.describe()) {
            eprintln!("note: {}", for_terminal(&reason));
        }
    }
    Ok(())
}

fn told(shown: &Shown) -> String {
    let Shown { out, engine, .. } = shown;
    if shown.equal {
        return format!("{out}: drawn again by {engine}, the same pixels");
    }
    format!(
        "{out}: drawn again by {engine}, other pixels than were recorded; {} differ from {}, by {} of 255 at most",
        shown.differing_pixels, shown.file, shown.largest_difference
    )
}

/// Why the pixels may be others.
fn reasons(record: &GenerationRecord, engine: &EngineInfo) -> Vec<String> {
    let mut reasons = Vec::new();
    if record.reproducible != Reproducible::Exact {
        reasons.push(format!(
            "with this engine {}",
            record.reproducible.meaning()
        ));
    }
    for (name, was) in &record.settings {
        let is = engine.settings.get(name).map_or("none", String::as_str);
        if is != was {
            reasons.push(format!("{name} was {was} and is {is}"));
        }
    }
    reasons
}

/// The engine that made a picture, under the name that `--engine` has for it.
fn engine(
    args: &Args,
    record: &GenerationRecord,
    context: &Context,
) -> Result<(String, Box<dyn Generator>)> {
    let mut found = Vec::new();
    let choices = if args.engines.is_named() {
        vec![args.engines.clone()]
    } else {
        let names = candidates(record, context)?;
        names.iter().map(|name| args.engines.with(name)).collect()
    };
    for choice in choices {
        let prepared = choice.prepare(0, context)?;
        let [one] = prepared.as_slice() else {
            return Err(bad(
                "a picture is drawn by one engine; name one --engine".to_owned()
            ));
        };
        let engine = load(one, record, context)?;
        let info = engine.describe();
        if info.weights_hash == record.weights_hash && info.version == record.engine_version {
            return Ok((one.backend().engine().to_string(), engine));
        }
        found.push(format!(
            "{} has version {}, weights {}",
            one.backend().engine(),
            info.version,
            info.weights_hash
        ));
    }
    Err(bad(format!(
        "{} was made by the engine {} version {}, weights {}, and {}; name the engine that has these with --engine, and the --precision that it had",
        args.file.display(),
        record.engine,
        record.engine_version,
        record.weights_hash,
        found.join("; ")
    )))
}

/// The engines that a record's may be, as `--engine` names them.
fn candidates(record: &GenerationRecord, context: &Context) -> Result<Vec<String>> {
    let name = &record.engine;
    if context.backends.iter().any(|known| known.name() == name) {
        return Ok(vec![name.clone()]);
    }
    match (name.as_str(), &record.model) {
        ("pocket", _) => Ok(PocketWeights::BUNDLED
            .map(|weights| format!("pocket:{weights}"))
            .to_vec()),
        ("sd", Some(model)) => Ok(vec![format!("sd:{model}")]),
        ("sd", None) => Err(bad(
            "the record does not say where the model lies; give --engine sd:FOLDER".to_owned(),
        )),
        _ => Err(bad(format!(
            "the record does not say where the engine {name} is; give its --engine"
        ))),
    }
}

/// Loads an engine, Stable Diffusion with the settings of the record.
fn load(
    prepared: &Prepared,
    record: &GenerationRecord,
    context: &Context,
) -> Result<Box<dyn Generator>> {
    let Some(model) = prepared.sd() else {
        // Nothing is lost where ctrl-c ends the program.
        return Ok(prepared.load(&Arc::new(AtomicBool::new(false)))?);
    };
    let needs = [("init_image", "--init-image"), ("latents", "--latents")];
    let missing = needs
        .iter()
        .find(|(name, _)| record.settings.contains_key(*name));
    if let Some((_, flag)) = missing {
        return Err(bad(format!(
            "the picture began with what {flag} named, which is in no record; draw it again with promptfed synth"
        )));
    }
    let setting = |name: &str| record.settings.get(name).map(String::as_str);
    let model = SdModel {
        options: LoadOptions {
            sampler: Some(record.sampler),
            long_prompts: match setting("long_prompts") {
                Some("chunk") => LongPrompts::Chunk,
                _ => LongPrompts::Cut,
            },
            ..model.options.clone()
        },
        ..model.clone()
    };
    let waiting = context.progress.bar("loading the model", 0);
    let loaded = model.load(Settings {
        height: Some(record.height),
        width: Some(record.width),
        guidance_interval: setting("guidance_interval").and_then(interval),
        empty_negative: setting("empty_negative").is_some(),
        ..Settings::default()
    })?;
    waiting.finish_and_clear();
    Ok(Box::new(loaded))
}

/// Reads `0.1..0.8`.
fn interval(text: &str) -> Option<[f64; 2]> {
    let (from, to) = text.split_once("..")?;
    Some([from.parse().ok()?, to.parse().ok()?])
}

fn bad(text: String) -> anyhow::Error {
    anyhow::Error::msg(text).context(BadInput)
}
