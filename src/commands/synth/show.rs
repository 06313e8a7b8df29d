//! `promptfed synth show`: how a picture was made.

use crate::Context;
use crate::exit::for_terminal;
use anyhow::Result;
use clap::Args as ClapArgs;
use promptfed_synth::{GenerationRecord, RecordedImage};
use serde::Serialize;
use std::path::PathBuf;

/// Say how a picture was made, by the record that lies in its file.
///
/// `synth` writes it into every picture (the text `promptfed` of a PNG file), so that one that was copied elsewhere still tells its prompt, seed and
/// engine. `synth --no-record` leaves it out.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// A PNG file that `promptfed synth` made
    file: PathBuf,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Shown<'a> {
    file: String,
    /// Whether the pixels are those that were recorded.
    intact: bool,
    record: &'a GenerationRecord,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let image = RecordedImage::read(&args.file)?;
    let record = &image.record;
    if context.json {
        let shown = Shown {
            file: args.file.display().to_string(),
            intact: image.is_intact(),
            record,
        };
        println!("{}", serde_json::to_string(&shown)?);
        return Ok(());
    }
    println!("{}", for_terminal(&lines(record).join("\n")));
    if !image.is_intact() {
        eprintln!(
            "warning: the pixels of {} are not those that were recorded: it was edited",
            args.file.display()
        );
    }
    Ok(())
}

/// A record as people read it.
fn lines(record: &GenerationRecord) -> Vec<String> {
    let mut lines = vec![format!("prompt:    {:?}", record.prompt)];
    if !record.negative.is_empty() {
        lines.push(format!("negative:  {:?}", record.negative));
    }
    let domain = record.domain.as_deref();
    let domain = domain.map_or(String::new(), |domain| format!(", domain {domain}"));
    let model = record.model.as_deref();
    let model = model.map_or(String::new(), |model| format!(", model {model}"));
    let settings: Vec<String> = record
        .settings
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    lines.extend([
        format!(
            "class:     {} ({}){domain}",
            record.class_name, record.class
        ),
        format!("size:      {} x {}", record.width, record.height),
        format!("seed:      {}", record.seed),
        format!(
            "sampling:  {}, {} steps, guidance {}",
            record.sampler, record.steps, record.guidance
        ),
        format!(
            "engine:    {} {}{model} (promptfed {})",
            record.engine, record.engine_version, record.promptfed
        ),
        format!("weights:   {}", record.weights_hash),
        format!("pixels:    {}", record.pixel_hash),
    ]);
    if !settings.is_empty() {
        lines.push(format!("settings:  {}", settings.join(", ")));
    }
    lines
}
