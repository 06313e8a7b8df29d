//! `promptfed extract`: private images to prompts, shown before anything leaves.

use super::agreed::{self, Agreed, AgreedArgs};
use super::data::{self, ReadArgs};
use super::domain::DomainArgs;
use super::idle;
use super::preview::{self, Shown};
use super::release::ReleaseArgs;
use super::words::Asked;
use crate::Context;
use crate::exit::BadInput;
use anyhow::{Result, bail};
use clap::{ArgMatches, Args as ClapArgs};
use promptfed_client::{Captioner, ExtractOptions, captioner_with, extract_with_progress};
use promptfed_eval::report::bytes;
use promptfed_files::{prove_writable, write_whole};
use promptfed_prompts::protocol::PromptPlan;
use promptfed_prompts::{Level, PromptSet};
use std::path::PathBuf;
use std::sync::Arc;

/// Turn private images into prompts, and show what would leave the machine.
///
/// Nothing is sent. prompts.json holds exactly what `promptfed submit` will send; prompts can be taken out of it by hand. Beside it,
/// prompts.preview.json says how many images stand behind each prompt and what was left out; it stays here.
///
/// For a round: `promptfed extract DATA --round 1 --server URL` takes classes, level and templates from the round. Without one:
/// `promptfed label-space from DATA` writes the classes to a file that clients and server can share.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Folder, list or Parquet file of labelled images
    data: PathBuf,
    #[command(flatten)]
    agreed: AgreedArgs,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    prompts: PromptArgs,
    #[command(flatten)]
    domain: DomainArgs,
    /// Where the prompts go
    #[arg(long, value_name = "FILE", default_value = "prompts.json")]
    out: PathBuf,
    /// Where the preview goes, which stays here [default: beside --out, prompts.preview.json]
    #[arg(long, value_name = "FILE")]
    preview: Option<PathBuf>,
    /// Prompts to show; all of them are in the file
    #[arg(long, value_name = "N", default_value_t = 12)]
    show: usize,
    /// Do not decode images that no captioner looks at: faster, but a corrupt image counts as one
    #[arg(long)]
    trust_images: bool,
}

/// How much prompts tell, and in which words.
#[derive(ClapArgs, Clone)]
pub(crate) struct WordingArgs {
    /// How much each prompt tells: class, domain (class and style), or instance (with a caption)
    #[arg(long, default_value_t = Level::Class)]
    pub(crate) level: Level,
    /// Words around class, domain and caption: fgl, fgl-domainnet, pocket, or a TOML file (docs/label-spaces.md)
    #[arg(long, value_name = "NAME|FILE", default_value = "pocket")]
    pub(crate) templates: String,
}

impl WordingArgs {
    /// Level and templates, as a round agrees on them.
    pub(crate) fn plan(&self) -> Result<PromptPlan> {
        let plan = PromptPlan {
            level: self.level,
            templates: data::template_set(&self.templates)?,
        };
        plan.validate().map_err(|error| {
            anyhow::Error::msg(format!("--templates {}: {error}", self.templates)).context(BadInput)
        })?;
        Ok(plan)
    }
}

/// What prompts tell.
#[derive(ClapArgs, Clone)]
pub(crate) struct PromptArgs {
    #[command(flatten)]
    pub(crate) wording: WordingArgs,
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
    #[command(flatten)]
    pub(crate) release: ReleaseArgs,
}

impl PromptArgs {
    /// The captioner for prompts of this level.
    pub(crate) fn load_captioner(&self, level: Level) -> Result<Arc<dyn Captioner>> {
        Ok(captioner_with(
            self.captioner(level),
            self.model.as_deref(),
        )?)
    }

    /// The captioner's name for prompts of this level.
    pub(crate) fn captioner(&self, level: Level) -> &str {
        match (&self.captioner, level) {
            (Some(name), _) => name,
            (None, Level::Instance) => "metadata+attributes",
            (None, _) => "none",
        }
    }
}

/// Refuses flags of captions that no prompt holds, and of text that is not printed.
pub(super) fn refuse_idle(matches: &ArgMatches) -> Result<()> {
    if matches.get_flag("json") {
        idle::refuse(
            matches,
            &["show"],
            "with --json; the prompts are in the file of --out",
        )?;
    }
    let looks = idle::is_given(matches, "clip") || idle::is_given(matches, "model");
    if !looks {
        idle::refuse(
            matches,
            &["precision"],
            "without --clip or --model, where no network computes",
        )?;
    }
    agreed::refuse_idle(matches)?;
    // A round says itself what its prompts tell.
    if idle::is_given(matches, "round") {
        return Ok(());
    }
    refuse_idle_captions(matches)
}

/// Refuses flags of captions where prompts have none.
pub(super) fn refuse_idle_captions(matches: &ArgMatches) -> Result<()> {
    match matches.get_one("level") {
        Some(Level::Instance) => Ok(()),
        _ => idle::refuse(
            matches,
            &["captioner", "model"],
            "where prompts have no caption; add --level instance",
        ),
    }
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    let preview_file = preview::file(args.preview.as_deref(), &args.out);
    if preview_file.as_ref() == Some(&args.out) {
        bail!(
            anyhow::Error::msg(
                "--preview and --out are one file; give the preview, which stays here, another name"
            )
            .context(BadInput)
        );
    }
    for file in preview_file.iter().chain([&args.out]) {
        prove_writable(file)?;
    }
    let Agreed {
        plan: PromptPlan { level, templates },
        label_space,
        engines,
    } = args.agreed.agreed(&args.prompts.wording)?;
    let (mut dataset, label_space) = args.read.open_for(&args.data, label_space)?;
    for file in preview_file.iter().chain([&args.out]) {
        data::refuse_to_replace(&args.data, &dataset, file)?;
    }
    args.domain.name(&mut dataset, level)?;
    // Without a round, prompts in pocket's own words are for pocket.
    let engines = engines.unwrap_or_else(|| vec![templates.name().to_owned()]);
    let mut asked = Asked::server(engines.iter().map(String::as_str))?;
    if args.prompts.captioner.is_some() && !level.has_caption() {
        let text = format!(
            "--captioner has no effect where prompts are of the {level} level; leave it out"
        );
        bail!(anyhow::Error::msg(text).context(BadInput));
    }
    let captioner = args.prompts.load_captioner(level)?;
    if args.trust_images && level.has_caption() && captioner.needs_pixels() {
        bail!(
            anyhow::Error::msg("--trust-images has no effect where a captioner looks at every image; leave it out, or use --captioner metadata")
                .context(BadInput)
        );
    }
    let options = ExtractOptions {
        captioner,
        counts: args.prompts.counts,
        release: args.prompts.release.rules(),
        strict: args.read.strict,
        check_images: !args.trust_images,
        ..ExtractOptions::new(level, templates)
    };
    let bar = context.progress.bar("images", dataset.len() as u64);
    let extraction = extract_with_progress(&dataset, &label_space, &options, &mut |done| {
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    let report = &extraction.report;
    data::tell(&report.images_left_out_by_kind());
    data::tell_changed(&report.decode);
    asked.prompts(&extraction.prompt_set, &label_space);
    let shown = Shown {
        extraction: &extraction,
        dataset: &dataset,
        label_space: &label_space,
        unknown_words: asked.tell(),
        out: &args.out,
        preview_file: preview_file.as_deref(),
        show: args.show,
    };
    write_whole(&args.out, extraction.preview.json.as_bytes())?;
    if let Some(file) = &preview_file {
        write_whole(file, shown.file()?.as_bytes())?;
    }
    if context.json {
        println!("{}", shown.json());
    } else {
        println!("{}", shown.text());
    }
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
