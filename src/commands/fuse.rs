//! `promptfed fuse`: several synthetic sets to one.

use super::fusion::{self, Choosing, FusionArgs, KeepArgs, TaskSizeArgs};
use super::sets::{self, SetArg};
use crate::{Context, interrupt};
use anyhow::Result;
use clap::Args as ClapArgs;
use promptfed_synth::fuse::select::Mode;
use std::path::PathBuf;

/// Choose images of several synthetic sets by what they teach, and weigh them.
///
/// The folder that is written holds references to the images, never copies: `train`, `evaluate`, `quality` and `export` open it like any
/// other set as long as the sets lie where they are. It can be stopped and started again. report.html in it shows the most and least
/// useful images and what each backend is good at.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Folders of `promptfed synth`; FOLDER, or NAME=FOLDER to name its backend
    #[arg(required = true, value_name = "SET")]
    sets: Vec<SetArg>,
    /// Folder for the fused set
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How images are chosen: all, random, easy, ambiguous, cartography[:SHARE], influence, influence-largest, influence+cartography,
    /// influence-largest+cartography, agreement[:DOSE], outliers[:DOSE], duplicates[:SIMILARITY], diversity
    #[arg(long, value_name = "MODE", default_value = "random")]
    select: Mode,
    #[command(flatten)]
    keep: KeepArgs,
    #[command(flatten)]
    fusion: FusionArgs,
    #[command(flatten)]
    size: TaskSizeArgs,
    /// Seed of the task models and of what is drawn at random
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    let fusion = args.fusion.fusion(Choosing {
        select: args.select,
        keep: args.keep.keep,
        image_size: args.size.image_size,
        seed: args.seed,
    })?;
    let sets = sets::open(&args.sets)?;
    let report = fusion.run(sets, &args.out, &interrupt::flag(), context)?;
    if context.json {
        let shown = fusion.shown(&report, &args.out)?;
        println!("{}", serde_json::to_string(&shown)?);
        return Ok(());
    }
    fusion::show(&report, &args.out)
}
