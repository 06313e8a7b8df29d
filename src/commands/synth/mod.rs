//! `promptfed synth`: prompts to images.

mod job;
mod remake;
mod round_writer;
mod rounds;
mod sampling;
mod seed;
mod serve;
mod several;
mod show;
mod source;
mod stable_diffusion;
mod workers;

use self::round_writer::RoundWriterArgs;
use self::seed::Seed;
use self::stable_diffusion::SdArgs;
use self::workers::WorkersArgs;
use crate::Context;
use crate::commands::engines::EngineArgs;
use crate::commands::filter::FilterArgs;
use crate::commands::fusion::{self, Choosing, FUSION_FLAGS, FusionArgs, KeepArgs, TaskSizeArgs};
use crate::commands::idle;
use crate::commands::words::{Asked, UnknownWords};
use crate::exit::BadInput;
use anyhow::{Context as _, Result};
use clap::{ArgMatches, Args as ClapArgs, Subcommand, ValueEnum};
use promptfed_synth::fuse::select::Mode;
use promptfed_synth::registry::Prepared;
use promptfed_synth::{ImageBudget, OutputFormat, Spread};
use std::path::PathBuf;

pub(crate) use self::sampling::SamplingArgs;
pub(crate) use self::source::prompts_file;

/// Turn prompts into a labelled set of training images.
///
/// The job can be stopped and started again: it goes on where it was. Every image has its own seed and is the same
/// whatever the batch size (on a graphics card, of sd, for one batch size; with servers that are not this program's, as far as they keep to
/// seeds). `manifest.jsonl` in the output folder has one row per image. With several engines each has a job in OUT/backends/NAME.
#[derive(ClapArgs)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(flatten)]
    job: JobArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Offer this machine's engines to others: `--engine remote:URL` there
    Serve(serve::Args),
    /// Say how a picture was made, by the record that lies in its file
    Show(show::Args),
    /// Draw a picture again from the record in its file, and say whether the pixels are the same
    Remake(remake::Args),
}

/// A job.
#[derive(ClapArgs)]
pub(crate) struct JobArgs {
    /// prompts.json of `promptfed extract`; a .jsonl file of {"class", "domain"?, "prompt", "negative"?, "count"?}; a .csv file with these columns
    /// (class may be left out); or a .txt file with a prompt on each line
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
    /// What guidance leads away from, with --prompt; "" is an empty text, which XL tells from none
    #[arg(
        long,
        value_name = "TEXT",
        requires = "prompt",
        conflicts_with = "prompts"
    )]
    negative: Option<String>,
    /// Classes of the prompts: a built-in name or a TOML file
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "prompt")]
    label_space: Option<String>,
    #[command(flatten)]
    engines: EngineArgs,
    /// Folder for the images, the manifest and the job's state
    #[arg(long, value_name = "DIR", required = true)]
    out: Option<PathBuf>,
    /// Images for each prompt, of each engine
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "images")]
    images_per_prompt: u32,
    /// Images in all, instead of a number for each prompt; several engines share them evenly
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
    /// Seed of the job; -1 draws one, and tells it
    #[arg(long, value_name = "N", default_value = "0", allow_negative_numbers = true, value_parser = Seed::read)]
    seed: Seed,
    /// Form of the output
    #[arg(long, value_enum, default_value = "folder")]
    format: Format,
    /// Write no generation record into the pictures: `synth show` and `remake` need it, and it holds the prompt
    #[arg(long)]
    no_record: bool,
    /// Draws per image before it is given up as faulty (NaN, one colour, duplicate, not passed by --filter-clip)
    #[arg(long, default_value_t = 4)]
    attempts: u32,
    #[command(flatten)]
    filter: FilterArgs,
    /// Stop after this many images of the plan; a later run goes on
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    workers: WorkersArgs,
    #[command(flatten)]
    sd: SdArgs,
    /// Fuse what several engines make into OUT/fused, choosing images by this mode of `promptfed fuse` [without a mode: random]
    #[arg(long, value_name = "MODE", num_args = 0..=1, default_missing_value = "random", help_heading = "Fusion")]
    fuse: Option<Mode>,
    /// With --fuse, make --images in so many rounds: after each, who is good at what decides who makes more of it, and prompts of useful
    /// images are asked for more often
    #[arg(long, value_name = "N", default_value_t = 1, requires = "fuse", help_heading = "Fusion",
        value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// With --rounds, the class that a class is most often taken for becomes its negative prompt
    #[arg(long, requires = "rounds", help_heading = "Fusion")]
    negatives: bool,
    #[command(flatten)]
    writing: RoundWriterArgs,
    #[command(flatten)]
    keep: KeepArgs,
    #[command(flatten)]
    fusion: FusionArgs,
    #[command(flatten)]
    size: TaskSizeArgs,
}

/// Refuses flags that would have no effect.
pub(super) fn refuse_idle(matches: &ArgMatches) -> Result<()> {
    round_writer::refuse_idle(matches)?;
    if matches.contains_id("fuse") {
        return fusion::refuse_idle(matches, &["image_size"]);
    }
    let flags = [&["keep", "image_size"][..], &FUSION_FLAGS].concat();
    idle::refuse(matches, &flags, "without --fuse")
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

impl From<Format> for OutputFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Folder => Self::Folder,
            Format::Parquet => Self::Parquet,
        }
    }
}

impl JobArgs {
    /// The images that are asked for.
    fn budget(&self) -> ImageBudget {
        match self.images {
            None => ImageBudget::PerPrompt(self.images_per_prompt),
            Some(images) => ImageBudget::Total {
                images,
                spread: match self.spread {
                    SpreadArg::ByCount => Spread::ByCount,
                    SpreadArg::ClassBalanced => Spread::ClassBalanced,
                },
            },
        }
    }

    /// What of the prompts the engines were never shown, told before the work begins.
    fn unknown_words(&self, prepared: &[Prepared]) -> Result<UnknownWords> {
        let prompts = source::source(self)?;
        let mut asked = Asked::engines(prepared)?;
        asked.job(&prompts)?;
        Ok(asked.tell())
    }

    /// Refuses flags that only Stable Diffusion has, with another engine.
    fn refuse_idle(&self, prepared: &[Prepared]) -> Result<()> {
        let [engine] = prepared else {
            return Ok(());
        };
        let given = self.sd.given();
        if engine.sd().is_some() || given.is_empty() {
            return Ok(());
        }
        let text = format!(
            "the {} engine has no {}; leave it out, or use --engine sd:MODEL",
            engine.backend().name(),
            given.join(", ")
        );
        Err(anyhow::Error::msg(text).context(BadInput))
    }
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    match args.command {
        None => make(args.job, context),
        Some(Command::Serve(args)) => serve::run(args, context),
        Some(Command::Show(args)) => show::run(&args, context),
        Some(Command::Remake(args)) => remake::run(&args, context),
    }
}

/// Runs the job that the flags tell of.
fn make(args: JobArgs, context: &Context) -> Result<()> {
    let out = args.out.as_deref().context("give --out DIR")?;
    let prepared = args.engines.prepare(args.seed.value, context)?;
    args.refuse_idle(&prepared)?;
    if prepared.len() > 1 {
        args.workers.refuse_several()?;
    }
    args.seed.tell();
    let unknown_words = args.unknown_words(&prepared)?;
    let fusion = args.fuse.map(|select| {
        args.fusion.fusion(Choosing {
            select,
            keep: args.keep.keep,
            image_size: args.size.image_size,
            seed: args.seed.value,
        })
    });
    let fusion = fusion.transpose()?;
    match (prepared.as_slice(), fusion) {
        ([_], Some(_)) => {
            let text = "--fuse is for several engines; name another --engine, or leave it out";
            Err(anyhow::Error::msg(text).context(BadInput))
        }
        ([one], None) => job::run(&args, one, out, &unknown_words, context),
        (several, Some(fusion)) if args.rounds > 1 => {
            rounds::run(&args, several, &fusion, out, context)
        }
        (several, fusion) => several::run(
            &args,
            several,
            fusion.as_ref(),
            out,
            &unknown_words,
            context,
        ),
    }
}
