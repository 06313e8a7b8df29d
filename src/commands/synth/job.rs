//! The job of one engine.

use super::workers::Processes;
use super::{JobArgs, source, stable_diffusion};
use crate::commands::words::UnknownWords;
use crate::exit::BadInput;
use crate::{Context, interrupt};
use anyhow::{Result, anyhow};
use promptfed_synth::job::run_shared;
use promptfed_synth::registry::Prepared;
use promptfed_synth::{
    EngineInfo, Generator, ImageBudget, JobProgress, JobReport, JobSpec, Reproducible,
};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A loaded engine, and what the command line says about the job by its flags.
pub(super) struct Loaded {
    pub(super) engine: Box<dyn Generator>,
    /// Images for the one prompt, where their noise was given.
    pub(super) images: Option<u32>,
}

/// Runs the job in `out`, or goes on with it.
pub(super) fn run(
    args: &JobArgs,
    prepared: &Prepared,
    out: &Path,
    unknown_words: &UnknownWords,
    context: &Context,
) -> Result<()> {
    let cancel = interrupt::flag();
    let Loaded { mut engine, images } = load(args, prepared, &cancel, context)?;
    let mut spec = specify(args, prepared, engine.describe(), args.budget())?;
    if let Some(images) = images {
        spec.images = ImageBudget::PerPrompt(images);
        // Given noise cannot be drawn again.
        spec.attempts = 1;
    }
    refuse_idle(args, &spec, engine.as_ref())?;
    let engine = engine.as_mut();
    for note in promptfed_synth::notes(engine, &spec)? {
        eprintln!("warning: {note}");
    }

    let bar = context.progress.bar("images", 1);
    let mut progress = |progress: &JobProgress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        bar.set_message(format!("{:.1} images/s", progress.images_per_second));
    };
    let report = match args.workers.sharing() {
        None => promptfed_synth::run(engine, &spec, out, &mut progress, &cancel)?,
        Some((workers, sharing)) => {
            let processes = Processes::start(args, workers, out, &cancel)?;
            let report = run_shared(engine, &spec, &sharing, out, &mut progress, &cancel);
            match (processes.end(), report) {
                (Some(fault), Ok(report)) if report.cancelled => return Err(anyhow!(fault)),
                (_, report) => report?,
            }
        }
    };
    bar.finish_and_clear();
    tell_doubts("", engine.describe(), &report);
    let info = engine.describe();
    if context.json {
        println!(
            "{}",
            json!({ "out": out.display().to_string(), "seed": spec.seed, "engine": info.name, "weights_hash": info.weights_hash,
                "reproducible": info.reproducible, "report": report, "unknown_words": unknown_words })
        );
    } else {
        println!("{}", summary(&report, out));
    }
    if report.cancelled {
        return Err(anyhow::Error::msg(interrupt::Interrupted));
    }
    Ok(())
}

/// What the command line says of an engine's job.
pub(super) fn specify(
    args: &JobArgs,
    prepared: &Prepared,
    engine: &EngineInfo,
    images: ImageBudget,
) -> Result<JobSpec> {
    let mut spec = JobSpec::new(source::source(args)?, &engine.defaults);
    spec.images = images;
    args.sampling.apply(&mut spec);
    spec.seed = args.seed.value;
    spec.output = args.format.into();
    spec.batch = prepared.batch();
    spec.attempts = args.attempts;
    spec.filter = args.filter.load()?;
    spec.limit = args.limit;
    spec.records = !args.no_record;
    Ok(spec)
}

fn load(
    args: &JobArgs,
    prepared: &Prepared,
    cancel: &Arc<AtomicBool>,
    context: &Context,
) -> Result<Loaded> {
    if let Some(model) = prepared.sd() {
        return stable_diffusion::load(args, model, context);
    }
    Ok(Loaded {
        engine: prepared.load(cancel)?,
        images: None,
    })
}

/// Refuses flags that have no effect without guidance.
fn refuse_idle(args: &JobArgs, spec: &JobSpec, engine: &dyn Generator) -> Result<()> {
    let why = if !engine.takes_negatives() {
        "with this engine, which takes no negative prompt; leave it out"
    } else if spec.guidance.is_off() {
        "at guidance 1, which is none; give --guidance above 1"
    } else {
        return Ok(());
    };
    let flag = if args
        .negative
        .as_deref()
        .is_some_and(|text| !text.trim().is_empty())
    {
        Some("--negative")
    } else {
        args.sd.guidance_interval_given()
    };
    match flag {
        None => Ok(()),
        Some(flag) => {
            let text = format!("{flag} has no effect {why}");
            Err(anyhow::Error::msg(text).context(BadInput))
        }
    }
}

/// Warns of what a job found; `of` is put before each line.
pub(super) fn tell_doubts(of: &str, engine: &EngineInfo, report: &JobReport) {
    if report.non_finite > 0 {
        eprintln!(
            "warning: {of}{} draws were thrown away because they held values that are not numbers; use --precision f32 or bf16, or lower --guidance",
            report.non_finite
        );
    }
    if report.changed > 0 {
        eprintln!(
            "warning: {of}{} images were missing or damaged and were made again with other pixels: with this engine {}",
            report.changed,
            engine.reproducible.meaning()
        );
    }
    if engine.reproducible != Reproducible::Exact && report.resumed == 0 {
        eprintln!(
            "note: {of}with this engine {}",
            engine.reproducible.meaning()
        );
    }
}

fn of_cut_prompts(images: u64) -> String {
    if images == 0 {
        return String::new();
    }
    format!(", {images} of prompts that were not read to their end: `cut` in manifest.jsonl")
}

/// One line for people.
pub(super) fn summary(report: &JobReport, out: &Path) -> String {
    let mended = match report.mended {
        0 => String::new(),
        n => format!(", {n} of them missing or damaged and made again"),
    };
    format!(
        "{} of {} images in {} ({} rejected, {} redrawn, {} from earlier runs{mended}{}) in {:.1} s",
        report.accepted,
        report.planned,
        out.display(),
        report.rejected,
        report.redrawn,
        report.resumed,
        of_cut_prompts(report.cut),
        report.elapsed.as_secs_f64()
    )
}
