//! `promptfed extract`: private images to prompts, shown before anything leaves.

use super::data::{self, ReadArgs};
use crate::Context;
use crate::exit::BadInput;
use anyhow::{Result, bail};
use clap::Args as ClapArgs;
use promptfed_client::{
    Captioner, ExtractOptions, captioner_with, extract_with_progress, give_domain, name_domain,
};
use promptfed_data::Dataset;
use promptfed_eval::report::bytes;
use promptfed_files::{prove_writable, write_whole};
use promptfed_prompts::{Level, PromptSet};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    /// Domains to choose from for images without one, such as "photo,pencil sketch,oil painting": that which --clip finds
    /// most of them show
    #[arg(long, value_name = "TEXT,..", value_delimiter = ',', requires = "clip")]
    domains: Vec<String>,
    /// Folder of a CLIP model in the layout of the transformers library, for --domains
    #[arg(long, value_name = "DIR", requires = "domains")]
    clip: Option<PathBuf>,
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
    /// and tone), blip (what the picture shows; needs --model), or several joined with + [default: metadata+attributes]
    #[arg(long, value_name = "NAME")]
    pub(crate) captioner: Option<String>,
    /// Folder of the model of --captioner blip, in the layout of the transformers library
    #[arg(long, value_name = "DIR", requires = "captioner")]
    pub(crate) model: Option<PathBuf>,
    /// Also release how many images stand behind each prompt
    #[arg(long)]
    pub(crate) counts: bool,
}

impl PromptArgs {
    /// The captioner for the level.
    pub(crate) fn load_captioner(&self) -> Result<Arc<dyn Captioner>> {
        Ok(captioner_with(self.captioner(), self.model.as_deref())?)
    }

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
    prove_writable(&args.out)?;
    let (mut dataset, label_space) = args.read.open(&args.data)?;
    if let Some(model) = &args.clip {
        name_by_clip(&args.domains, model, &mut dataset)?;
    }
    let options = ExtractOptions {
        captioner: args.prompts.load_captioner()?,
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
    write_whole(&args.out, extraction.preview.json.as_bytes())?;
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
        bytes(preview.wire_bytes as u64),
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

/// Images that CLIP looks at to choose the domain.
const LOOKED_AT: usize = 200;

fn name_by_clip(domains: &[String], model: &Path, dataset: &mut Dataset) -> Result<()> {
    if !dataset.domain_names.is_empty() {
        bail!(
            anyhow::Error::msg("the data has domains of its own; leave out --domains and --clip")
                .context(BadInput)
        );
    }
    let domains: Vec<&str> = domains.iter().map(|domain| domain.trim()).collect();
    let named = name_domain(dataset, &domains, model, LOOKED_AT)?;
    let shares = domains.iter().zip(&named.scores);
    let shares: Vec<String> = shares
        .map(|(domain, score)| format!("{domain} {score:.2}"))
        .collect();
    eprintln!(
        "domain: {}, from {} images ({})",
        named.domain.as_str(),
        named.images,
        shares.join(", ")
    );
    give_domain(dataset, &named.domain);
    Ok(())
}

/// One line about a prompt set.
pub(crate) fn summary(prompts: &PromptSet) -> String {
    format!(
        "{} {}-level prompts, {} on the wire, hash {}",
        prompts.len(),
        prompts.level(),
        bytes(prompts.to_wire().len() as u64),
        prompts.hash()
    )
}
