//! `promptfed synth`: prompts to images.

mod pocket;
mod sampling;
mod source;
mod stable_diffusion;

use self::stable_diffusion::SdArgs;
use crate::commands::filter::FilterArgs;
use crate::commands::words::{Asked, UnknownWords};
use crate::exit::BadInput;
use crate::{Context, interrupt};
use anyhow::Result;
use clap::{Args as ClapArgs, ValueEnum};
use promptfed_synth::engines::DeviceKind;
use promptfed_synth::engines::pocket::Pocket;
use promptfed_synth::engines::sd::Precision;
use promptfed_synth::{Generator, ImageBudget, JobSpec, OutputFormat, PromptSource, Spread};
use serde_json::json;
use std::path::PathBuf;

pub(crate) use self::pocket::pocket_folder;
pub(crate) use self::sampling::SamplingArgs;
pub(crate) use self::source::prompts_file;
pub(crate) use self::stable_diffusion::model_folder;

/// Turn prompts into a labelled set of training images.
///
/// The job can be stopped and started again: it goes on where it was. Every image has its own seed and is the same
/// whatever the batch size (on a graphics card, of sd, for one batch size). `manifest.jsonl` in the output folder has one row per image.
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
    #[arg(
        long,
        value_name = "TEXT",
        requires = "prompt",
        conflicts_with = "prompts",
        default_value = ""
    )]
    negative: String,
    /// Classes of the prompts: a built-in name or a TOML file
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "prompt")]
    label_space: Option<String>,
    /// The text-to-image engine
    #[arg(long, value_enum, default_value = "pocket")]
    engine: Engine,
    /// The engine's weights. pocket: all, photo, draw (bundled), or a folder [default: all]; sd: a folder, or
    /// OWNER/NAME[@REVISION] on the hub
    #[arg(long, value_name = "NAME|DIR|ID")]
    model: Option<String>,
    /// Where the networks run: cpu or cuda [default: cpu]
    #[arg(long)]
    device: Option<DeviceKind>,
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
        requires = "images",
        conflicts_with = "images_per_prompt"
    )]
    spread: SpreadArg,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// Seed of the job
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Form of the output
    #[arg(long, value_enum, default_value = "folder")]
    format: Format,
    /// Images between two writes to disk, and for sd made together [default: 64, or 1 for sd]
    #[arg(long)]
    batch: Option<usize>,
    /// Draws per image before it is given up as faulty (NaN, one colour, duplicate, not passed by --filter-clip)
    #[arg(long, default_value_t = 4)]
    attempts: u32,
    #[command(flatten)]
    filter: FilterArgs,
    /// Stop after this many images of the plan; a later run goes on
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    sd: SdArgs,
}

#[derive(ValueEnum, Clone, Copy)]
pub(crate) enum Engine {
    /// The bundled small generator
    Pocket,
    /// Stable Diffusion 1, 2, XL, Turbo and LCM from folders in diffusers' layout
    Sd,
}

impl Engine {
    /// The name by which rounds ask for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Engine::Pocket => "pocket",
            Engine::Sd => "sd",
        }
    }
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

/// A loaded engine, and what the command line says about the job by its flags.
struct Loaded {
    engine: Box<dyn Generator>,
    /// Images for the one prompt, where their noise was given.
    images: Option<u32>,
    batch: usize,
}

fn load(args: &Args, context: &Context) -> Result<Loaded> {
    match args.engine {
        Engine::Pocket => {
            let given = args.sd.given();
            if !given.is_empty() {
                let text = format!(
                    "the pocket engine has no {}; leave it out, or use --engine sd",
                    given.join(", ")
                );
                return Err(anyhow::Error::msg(text).context(BadInput));
            }
            let folder = pocket_folder(args.model.as_deref())?;
            let device = args.device.unwrap_or_default().open()?;
            Ok(Loaded {
                engine: Box::new(Pocket::load_on(&folder, Precision::chosen(), &device)?),
                images: None,
                batch: args.batch.unwrap_or(64),
            })
        }
        Engine::Sd => {
            let batch = args.batch.unwrap_or(1);
            let loaded = stable_diffusion::load(args, batch, context)?;
            Ok(Loaded {
                engine: Box::new(loaded.engine),
                images: loaded.images,
                batch,
            })
        }
    }
}

fn specify(args: &Args, loaded: &Loaded) -> Result<JobSpec> {
    let mut spec = JobSpec::new(source::source(args)?, &loaded.engine.describe().defaults);
    spec.images = match args.images {
        None => ImageBudget::PerPrompt(loaded.images.unwrap_or(args.images_per_prompt)),
        Some(images) => ImageBudget::Total {
            images,
            spread: match args.spread {
                SpreadArg::ByCount => Spread::ByCount,
                SpreadArg::ClassBalanced => Spread::ClassBalanced,
            },
        },
    };
    args.sampling.apply(&mut spec);
    spec.seed = args.seed;
    spec.output = match args.format {
        Format::Folder => OutputFormat::Folder,
        Format::Parquet => OutputFormat::Parquet,
    };
    spec.batch = loaded.batch;
    // Given noise cannot be drawn again.
    spec.attempts = if args.sd.latents().is_some() {
        1
    } else {
        args.attempts
    };
    spec.filter = args.filter.load()?;
    spec.limit = args.limit;
    Ok(spec)
}

/// What of the prompts the engine was never shown, told before the work begins.
fn unknown_words(args: &Args, prompts: &PromptSource) -> Result<UnknownWords> {
    let mut asked = match args.engine {
        Engine::Pocket => Asked::pocket(args.model.as_deref())?,
        Engine::Sd => Asked::nothing(),
    };
    asked.job(prompts)?;
    Ok(asked.tell())
}

/// Refuses flags that have no effect without guidance.
fn refuse_idle(args: &Args, spec: &JobSpec, engine: &dyn Generator) -> Result<()> {
    let why = if !engine.takes_negatives() {
        "with this model, which is told its guidance; leave it out"
    } else if spec.guidance.is_off() {
        "at guidance 1, which is none; give --guidance above 1"
    } else {
        return Ok(());
    };
    let flag = if args.negative.trim().is_empty() {
        args.sd.guidance_interval_given()
    } else {
        Some("--negative")
    };
    match flag {
        None => Ok(()),
        Some(flag) => {
            let text = format!("{flag} has no effect {why}");
            Err(anyhow::Error::msg(text).context(BadInput))
        }
    }
}

fn of_cut_prompts(images: u64) -> String {
    if images == 0 {
        return String::new();
    }
    format!(", {images} of prompts that were not read to their end: `cut` in manifest.jsonl")
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    let mut loaded = load(&args, context)?;
    let spec = specify(&args, &loaded)?;
    let unknown_words = unknown_words(&args, &spec.prompts)?;
    refuse_idle(&args, &spec, loaded.engine.as_ref())?;
    let engine = loaded.engine.as_mut();
    for note in promptfed_synth::notes(engine, &spec)? {
        eprintln!("warning: {note}");
    }

    let cancel = interrupt::flag();
    let bar = context.progress.bar("images", 1);
    let report = promptfed_synth::run(
        engine,
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
    if report.non_finite > 0 {
        eprintln!(
            "warning: {} draws were thrown away because they held values that are not numbers; use --precision f32 or bf16, or lower --guidance",
            report.non_finite
        );
    }
    let info = engine.describe();
    if context.json {
        println!(
            "{}",
            json!({ "out": args.out.display().to_string(), "engine": info.name, "weights_hash": info.weights_hash, "report": report, "unknown_words": unknown_words })
        );
    } else {
        let mended = match report.mended {
            0 => String::new(),
            n => format!(", {n} of them missing or damaged and made again"),
        };
        println!(
            "{} of {} images in {} ({} rejected, {} redrawn, {} from earlier runs{mended}{}) in {:.1} s",
            report.accepted,
            report.planned,
            args.out.display(),
            report.rejected,
            report.redrawn,
            report.resumed,
            of_cut_prompts(report.cut),
            report.elapsed.as_secs_f64()
        );
    }
    if report.cancelled {
        return Err(anyhow::Error::msg(interrupt::Interrupted));
    }
    Ok(())
}
