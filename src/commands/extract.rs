//! `promptfed extract`: private images to prompts, shown before anything leaves.

use super::data::{self, ReadArgs};
use super::text;
use crate::Context;
use anyhow::Result;
use clap::Args as ClapArgs;
use promptfed_client::{ExtractOptions, captioner, extract_with_progress};
use promptfed_prompts::{Level, PromptSet};
use serde_json::json;
use std::path::PathBuf;

/// Turn private images into prompts, and show what would leave the machine.
///
/// Nothing is sent. prompts.json holds exactly what `promptfed submit` will send; read it, or edit the data and run again.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Folder, list or Parquet file of labelled images
    data: PathBuf,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    prompts: PromptArgs,
    /// Where the prompts go
    #[arg(long, value_name = "FILE", default_value = "prompts.json")]
    out: PathBuf,
    /// Prompts to show; all of them are in the file
    #[arg(long, value_name = "N", default_value_t = 12)]
    show: usize,
    /// Do not decode images that no captioner looks at: faster, but a corrupt image counts as one
    #[arg(long)]
    trust_images: bool,
}

/// What prompts tell.
#[derive(ClapArgs, Clone)]
pub(crate) struct PromptArgs {
    /// How much each prompt tells: class, domain (class and style), or instance (with a caption)
    #[arg(long, default_value_t = Level::Class)]
    pub(crate) level: Level,
    /// Words around class, domain and caption: fgl, fgl-domainnet, pocket, or a TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = "pocket")]
    pub(crate) templates: String,
    /// Who writes captions at the instance level: metadata (caption column or side-car .txt), attributes (colours
    /// and tone), or metadata+attributes [default: metadata+attributes]
    #[arg(long, value_name = "NAME")]
    pub(crate) captioner: Option<String>,
    /// Also release how many images stand behind each prompt
    #[arg(long)]
    pub(crate) counts: bool,
}

impl PromptArgs {
    /// The captioner's name for the level.
    pub(crate) fn captioner(&self) -> &str {
        match (&self.captioner, self.level) {
            (Some(name), _) => name,
            (None, Level::Instance) => "metadata+attributes",
            (None, _) => "none",
        }
    }
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    let (dataset, label_space) = args.read.open(&args.data)?;
    let options = ExtractOptions {
        captioner: captioner(args.prompts.captioner())?,
        counts: args.prompts.counts,
        strict: args.read.strict,
        check_images: !args.trust_images,
        ..ExtractOptions::new(
            args.prompts.level,
            data::template_set(&args.prompts.templates)?,
        )
    };
    let bar = context.progress.bar("images", dataset.len() as u64);
    let extraction = extract_with_progress(&dataset, &label_space, &options, &mut |done| {
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    let report = &extraction.report;
    let skipped = report.decode.skipped.iter().map(ToString::to_string);
    let silent = report.without_caption.iter();
    let silent = silent.map(|w| format!("{}: {}", w.image, w.problem));
    data::tell(&skipped.chain(silent).collect::<Vec<_>>());
    fs_err::write(&args.out, &extraction.preview.json)?;
    let preview = &extraction.preview;
    if context.json {
        println!(
            "{}",
            json!({
                "out": args.out.display().to_string(), "hash": preview.hash, "wire_bytes": preview.wire_bytes, "level": preview.level,
                "prompts": preview.distinct_prompts, "images": extraction.report.used,
                "left_out": extraction.report.left_out(), "warnings": extraction.report.warnings(), "single_image_prompts": preview.single_image_prompts,
                "smallest_group": preview.smallest_group, "counts_released": preview.counts_released,
                "label_space": { "name": label_space.name(), "hash": label_space.hash() },
            })
        );
        return Ok(());
    }
    println!("Would leave this machine:");
    for rendered in preview.rendered.iter().take(args.show) {
        println!("  {}", rendered.positive);
    }
    if preview.rendered.len() > args.show {
        println!(
            "  ... and {} more, all in {}",
            preview.rendered.len() - args.show,
            args.out.display()
        );
    }
    let left_out = extraction.report.images - extraction.report.used;
    println!(
        "{} prompts from {} images ({left_out} left out), {} on the wire, hash {}",
        preview.distinct_prompts,
        extraction.report.used,
        text::bytes(preview.wire_bytes as u64),
        preview.hash
    );
    if preview.single_image_prompts > 0 {
        println!(
            "{} prompts stand for a single image each; a level that tells less is more private",
            preview.single_image_prompts
        );
    }
    println!(
        "Counts per class are {}.",
        if preview.counts_released {
            "part of the prompts"
        } else {
            "not part of the prompts"
        }
    );
    println!(
        "Nothing was sent. {} holds exactly what `promptfed submit` sends.",
        args.out.display()
    );
    Ok(())
}

/// One line about a prompt set.
pub(crate) fn summary(prompts: &PromptSet) -> String {
    format!(
        "{} {}-level prompts, {} on the wire, hash {}",
        prompts.len(),
        prompts.level(),
        text::bytes(prompts.to_wire().len() as u64),
        prompts.hash()
    )
}
