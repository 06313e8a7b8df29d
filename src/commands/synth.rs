//! `promptfed synth`: prompts to images.

use super::data;
use crate::{Context, interrupt};
use anyhow::{Context as _, Result};
use clap::{Args as ClapArgs, ValueEnum};
use promptfed_prompts::{ContentHash, LabelSpace};
use promptfed_synth::engines::pocket::Pocket;
use promptfed_synth::{
    Generator, Guidance, ImageBudget, JobSpec, OutputFormat, PromptSource, Sampler, Spread,
};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Turn prompts into a labelled set of training images.
///
/// The job can be stopped and started again: it goes on where it was. Every image has its own seed and is the same
/// whatever the batch size. `manifest.jsonl` in the output folder has one row per image.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// prompts.json of `promptfed extract`, or a .jsonl file of {"class", "domain"?, "prompt", "negative"?, "count"?}
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "prompt",
        conflicts_with = "prompt"
    )]
    prompts: Option<PathBuf>,
    /// One prompt instead of a file
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
    /// What guidance leads away from, with --prompt
    #[arg(long, value_name = "TEXT", requires = "prompt", default_value = "")]
    negative: String,
    /// Classes of the prompts: a built-in name or a TOML file
    #[arg(long, value_name = "NAME|FILE")]
    label_space: Option<String>,
    /// The text-to-image engine
    #[arg(long, value_enum, default_value = "pocket")]
    engine: Engine,
    /// The engine's folder of weights [default: the bundled ones]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Folder for the images, the manifest and the job's state
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Images for each prompt
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "images")]
    images_per_prompt: u32,
    /// Images in all, instead of a number for each prompt
    #[arg(long, value_name = "N")]
    images: Option<u64>,
    /// How --images are shared out among the prompts
    #[arg(
        long,
        value_enum,
        default_value = "class-balanced",
        requires = "images"
    )]
    spread: SpreadArg,
    /// Integration steps [default: the engine's]
    #[arg(long)]
    steps: Option<u32>,
    /// Guidance scale: a number, or LOW..HIGH to draw one for each image [default: the engine's]
    #[arg(long, value_parser = guidance)]
    guidance: Option<Guidance>,
    /// Sampler: euler or heun [default: the engine's]
    #[arg(long)]
    sampler: Option<Sampler>,
    /// Seed of the job
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Form of the output
    #[arg(long, value_enum, default_value = "folder")]
    format: Format,
    /// Images between two writes to disk
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Draws per image before it is given up as faulty (NaN, one colour, duplicate)
    #[arg(long, default_value_t = 4)]
    attempts: u32,
    /// Stop after this many images of the plan; a later run goes on
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

#[derive(ValueEnum, Clone, Copy)]
enum Engine {
    /// The bundled small generator
    Pocket,
}

#[derive(ValueEnum, Clone, Copy)]
enum SpreadArg {
    /// In proportion to the private images behind each prompt, where clients released counts
    ByCount,
    /// The same number for every class
    ClassBalanced,
}

#[derive(ValueEnum, Clone, Copy)]
enum Format {
    /// images/CLASS/INDEX.png
    Folder,
    /// Parquet shards with the hub's columns
    Parquet,
}

/// Reads `2.5` or `1.5..3`.
pub(crate) fn guidance(text: &str) -> Result<Guidance, String> {
    let number = |part: &str| {
        part.trim()
            .parse::<f32>()
            .map_err(|_| format!("`{part}` is not a number; write 2.5, or 1.5..3 for a range"))
    };
    match text.split_once("..") {
        None => number(text).map(Guidance::Fixed),
        Some((low, high)) => Ok(Guidance::Uniform {
            low: number(low)?,
            high: number(high.trim_start_matches('='))?,
        }),
    }
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    let prompts = source(&args)?;
    let model = match &args.model {
        Some(dir) => dir.clone(),
        None => data::assets()?.join("pocket/demo"),
    };
    let mut engine = match args.engine {
        Engine::Pocket => Pocket::load(&model)?,
    };
    let defaults = engine.describe().defaults;
    let mut spec = JobSpec::new(prompts, &defaults);
    spec.images = match args.images {
        None => ImageBudget::PerPrompt(args.images_per_prompt),
        Some(images) => ImageBudget::Total {
            images,
            spread: match args.spread {
                SpreadArg::ByCount => Spread::ByCount,
                SpreadArg::ClassBalanced => Spread::ClassBalanced,
            },
        },
    };
    spec.steps = args.steps.unwrap_or(defaults.steps);
    spec.guidance = args.guidance.unwrap_or(Guidance::Fixed(defaults.guidance));
    spec.sampler = args.sampler.unwrap_or(defaults.sampler);
    spec.seed = args.seed;
    spec.output = match args.format {
        Format::Folder => OutputFormat::Folder,
        Format::Parquet => OutputFormat::Parquet,
    };
    spec.batch = args.batch;
    spec.attempts = args.attempts;
    spec.limit = args.limit;

    let cancel = interrupt::flag();
    let bar = context.progress.bar("images", 1);
    let report = promptfed_synth::run(
        &mut engine,
        &spec,
        &args.out,
        &mut |progress| {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
            bar.set_message(format!("{:.1} images/s", progress.images_per_second));
        },
        &cancel,
    )?;
    bar.finish_and_clear();
    let info = engine.describe();
    if context.json {
        println!(
            "{}",
            json!({ "out": args.out.display().to_string(), "engine": info.name, "weights_hash": info.weights_hash, "report": report })
        );
    } else {
        println!(
            "{} of {} images in {} ({} rejected, {} redrawn, {} from earlier runs) in {:.1} s",
            report.accepted,
            report.planned,
            args.out.display(),
            report.rejected,
            report.redrawn,
            report.resumed,
            report.elapsed.as_secs_f64()
        );
    }
    if report.cancelled {
        return Err(anyhow::Error::msg(interrupt::Interrupted));
    }
    Ok(())
}

fn source(args: &Args) -> Result<PromptSource> {
    if let Some(prompt) = &args.prompt {
        let row = json!({ "class": "image", "prompt": prompt, "negative": args.negative });
        fs_err::create_dir_all(&args.out)?;
        let line = format!("{row}\n");
        // Named by its content, so that a refused job leaves an earlier job's prompt alone.
        let hash = ContentHash::of(line.as_bytes()).to_string();
        let path = args.out.join(format!("prompt-{}.jsonl", &hash[..16]));
        fs_err::write(&path, line)?;
        let label_space = LabelSpace::from_names("prompt", ["image"])?;
        return Ok(PromptSource::JsonLines { path, label_space });
    }
    let path = args
        .prompts
        .as_deref()
        .context("give --prompts FILE or --prompt TEXT")?;
    if is_json_lines(path) {
        let name = args.label_space.as_deref().with_context(|| {
            format!("{} names classes: give their --label-space", path.display())
        })?;
        return Ok(PromptSource::JsonLines {
            path: path.to_owned(),
            label_space: data::label_space(name)?,
        });
    }
    let (prompts, label_space) = data::prompt_set(path, args.label_space.as_deref())?;
    Ok(PromptSource::Set {
        prompts,
        label_space,
    })
}

fn is_json_lines(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| e == "jsonl" || e == "ndjson")
}
