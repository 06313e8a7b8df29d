//! `promptfed extract`: private images to prompts, shown before anything leaves.

use super::agreed::{self, Agreed, AgreedArgs};
use super::data::{self, ReadArgs};
use super::domain::DomainArgs;
use super::idle;
use super::out_file::refuse_to_replace;
use super::preview::{self, Shown};
use super::release::ReleaseArgs;
use super::words::Asked;
use crate::Context;
use crate::exit::BadInput;
use anyhow::{Result, bail};
use clap::{ArgMatches, Args as ClapArgs};
use promptfed_client::{Captioner, ExtractOptions, captioner_with, extract_with_progress};
use promptfed_eval::observer::Observer;
use promptfed_eval::report::bytes;
use promptfed_files::{prove_writable, write_whole};
use promptfed_prompts::protocol::PromptPlan;
use promptfed_prompts::{Level, PromptSet};
use std::path::{Path, PathBuf};
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
    /// Words around class, domain and caption: fgl, fgl-domainnet, photo, pocket, or a TOML file (docs/label-spaces.md) [default: those of the
    /// first engine: pocket's own, photo for others]
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) templates: Option<String>,
}

impl WordingArgs {
    /// The templates that are named, or else those of an engine.
    pub(crate) fn templates<'a>(&'a self, of_engine: &'a str) -> &'a str {
        self.templates.as_deref().unwrap_or(of_engine)
    }

    /// Level and templates, as a round agrees on them; where none are named, those of an engine.
    pub(crate) fn plan(&self, of_engine: &str) -> Result<PromptPlan> {
        let name = self.templates(of_engine);
        let plan = PromptPlan {
            level: self.level,
            templates: data::template_set(name)?,
            max_per_client: None,
        };
        plan.validate().map_err(|error| {
            anyhow::Error::msg(format!("--templates {name}: {error}")).context(BadInput)
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

impl Args {
    /// What is read beside the data.
    fn read_too(&self) -> Vec<&Path> {
        let wording = self.prompts.wording.templates.as_deref();
        let wording = wording.and_then(data::template_file);
        let model = self.prompts.model.as_deref();
        let files = [
            self.read.label_space_file(),
            wording,
            self.agreed.file(),
            model,
            self.domain.model(),
        ];
        files.into_iter().flatten().collect()
    }
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    let preview_file = preview::file(args.preview.as_deref(), &args.out);
    if preview_file == args.out {
        bail!(
            anyhow::Error::msg(
                "--preview and --out are one file; give the preview, which stays here, another name"
            )
            .context(BadInput)
        );
    }
    let files = [&preview_file, &args.out];
    for file in files {
        prove_writable(file)?;
    }
    let Agreed {
        plan:
            PromptPlan {
                level,
                templates,
                max_per_client,
            },
        label_space,
        engines,
    } = args.agreed.agreed(&args.prompts.wording, context)?;
    let (mut dataset, label_space) = args.read.open_for(&args.data, label_space)?;
    for file in files {
        refuse_to_replace(file, &args.data, &dataset, &args.read_too())?;
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
    let rules = args.prompts.release.rules();
    let (included, _) = rules.included(&dataset, &label_space)?;
    let included = dataset.subset(&included);
    promptfed_client::check_class_words(&included, &label_space)?;
    // Captions are not known before the images were looked at.
    asked.dataset(&included, &label_space, level.has_domain());
    asked.warn();
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
        release: rules,
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
    let prompts = extraction.prompt_set.len();
    if let Some(most) = max_per_client.filter(|most| prompts as u64 > u64::from(*most)) {
        context.progress.warn(&format!(
            "the round takes {most} prompts of each client, and these are {prompts}: it will refuse them; extract again with --max-prompts {most}"
        ));
    }
    let shown = Shown {
        extraction: &extraction,
        dataset: &dataset,
        label_space: &label_space,
        unknown_words: asked.tell(),
        out: &args.out,
        preview_file: &preview_file,
        show: args.show,
    };
    write_whole(&args.out, extraction.preview.json.as_bytes())?;
    write_whole(&preview_file, shown.file()?.as_bytes())?;
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
        "{} {}-level prompts, {} compressed, hash {}",
        prompts.len(),
        prompts.level(),
        bytes(prompts.to_wire().len() as u64),
        prompts.hash()
    )
}
