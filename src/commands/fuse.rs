//! `promptfed fuse`: several synthetic sets to one.

use super::data;
use super::idle;
use super::sets::{self, SetArg};
use crate::{Context, interrupt};
use anyhow::Result;
use clap::{ArgMatches, Args as ClapArgs, ValueEnum};
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use promptfed_eval::report;
use promptfed_learn::Recipe;
use promptfed_synth::Error;
use promptfed_synth::fuse::select::Mode;
use promptfed_synth::fuse::{
    Aids, Cost, Feedback, FuseReport, FuseSpec, QuotaSource, Softmax, TaskKind, TaskSpec,
    WeightAdjustment, fuse,
};
use promptfed_vision::EfficientNet;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Most bytes of a client's feedback that are read.
const MAX_FEEDBACK_BYTES: u64 = 16 << 20;

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
    /// Images chosen in all, in proportion to what was made of each class and domain; needed unless everything is
    #[arg(long, value_name = "N")]
    keep: Option<u64>,
    /// What each backend's share of a class and domain follows
    #[arg(long, value_enum)]
    quotas: Option<QuotasArg>,
    /// Clients' answers, files of `promptfed feedback`, for --quotas feedback; once for each client
    #[arg(long, value_name = "FILE")]
    feedback: Vec<PathBuf>,
    /// Scores that differ by this have shares that differ 2.7 times [default: 0.05; 0.5 for votes]
    #[arg(long, value_name = "T")]
    temperature: Option<f64>,
    /// Part of every class and domain that is dealt evenly among the backends, whatever their scores
    #[arg(long, value_name = "F", default_value_t = Softmax::default().floor)]
    floor: f64,
    /// Adjust the images' weights by training on them so many times (FuseGen: 30)
    #[arg(long, value_name = "N")]
    adjust_weights: Option<u32>,
    /// What a backend's task model is: a small network, or logistic regression on the features of EfficientNet-lite0
    #[arg(long, value_name = "network|features", default_value = "network")]
    task_model: TaskKind,
    /// Passes of a task model over its images
    #[arg(long, value_name = "N", default_value_t = TaskSpec::default().recipe.training.epochs)]
    task_epochs: usize,
    /// Channels of a task model's first stage
    #[arg(long, value_name = "N", default_value_t = TaskSpec::default().recipe.width)]
    task_width: usize,
    /// Most images that a task model is trained on
    #[arg(long, value_name = "N", default_value_t = TaskSpec::default().images)]
    task_images: u64,
    /// Side in pixels that images are resized to for task models
    #[arg(long, value_name = "PIXELS", default_value_t = Recipe::default().image_size)]
    image_size: usize,
    /// Work out confidence, variability and influence of every image for the report, also where the choice does not need them
    #[arg(long)]
    signals: bool,
    /// Seed of the task models and of what is drawn at random
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(ValueEnum, Clone, Copy)]
enum QuotasArg {
    /// How much better each backend's task model names the images of others than the rest do; for three backends or more
    Transfer,
    /// What clients found on private images: see --feedback
    Feedback,
}

/// Refuses flags that would have no effect.
pub(super) fn refuse_idle(matches: &ArgMatches) -> Result<()> {
    if !matches.contains_id("quotas") {
        let flags = ["temperature", "floor", "feedback"];
        idle::refuse(matches, &flags, "without --quotas")?;
    }
    let is_linear = matches.get_one::<TaskKind>("task_model") == Some(&TaskKind::Features);
    if is_linear && !matches.contains_id("adjust_weights") {
        let flags = ["task_epochs", "task_width"];
        idle::refuse(
            matches,
            &flags,
            "beside --task-model features, which trains no network",
        )?;
    }
    Ok(())
}

impl Args {
    fn spec(&self, feedback: Option<&Feedback>) -> FuseSpec {
        let recipe = Recipe {
            image_size: self.image_size,
            width: self.task_width,
            ..TaskSpec::default().recipe
        };
        FuseSpec {
            select: self.select,
            keep: self.keep,
            quotas: self.quotas.map(|quotas| match quotas {
                QuotasArg::Transfer => QuotaSource::Transfer,
                QuotasArg::Feedback => QuotaSource::Feedback,
            }),
            softmax: Softmax {
                temperature: self.temperature.unwrap_or(match feedback {
                    Some(feedback) => feedback.temperature(),
                    None => Softmax::default().temperature,
                }),
                floor: self.floor,
            },
            weights: self
                .adjust_weights
                .map(|iterations| WeightAdjustment { iterations }),
            task: TaskSpec {
                model: self.task_model,
                recipe: recipe.with(self.task_epochs, 0),
                images: self.task_images,
            },
            signals: self.signals,
            seed: self.seed,
        }
    }
}

/// The answers of all clients together, and their bytes.
fn feedback(files: &[PathBuf]) -> Result<Option<(Feedback, u64)>> {
    if files.is_empty() {
        return Ok(None);
    }
    let mut all = Vec::with_capacity(files.len());
    let mut bytes = 0;
    for file in files {
        let text = promptfed_files::read(file, MAX_FEEDBACK_BYTES)?;
        bytes += text.len() as u64;
        let feedback = Feedback::from_json(&text)
            .map_err(|error| anyhow::Error::new(error).context(file.display().to_string()))?;
        all.push(feedback);
    }
    Ok(Some((Feedback::merge(&all)?, bytes)))
}

/// EfficientNet-lite0, which comes with the program.
pub(super) fn network() -> Result<EfficientNet> {
    Ok(EfficientNet::load(
        &data::assets()?.join("efficientnet-lite0"),
    )?)
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    let feedback = feedback(&args.feedback)?;
    let (feedback, feedback_bytes) = feedback.map_or((None, 0), |(f, bytes)| (Some(f), bytes));
    let spec = args.spec(feedback.as_ref());
    spec.validate()?;
    let sets = sets::open(&args.sets)?;
    let network = spec.needs_network().then(network).transpose()?;
    let aids = Aids {
        network: network.as_ref(),
        feedback: feedback.as_ref(),
    };
    let cancel = interrupt::flag();
    let bar = context.progress.bar("fusing", 0);
    let result = fuse(
        sets,
        &spec,
        aids,
        &args.out,
        &mut |progress| {
            bar.set_message(format!(
                "{}: {} of {}",
                progress.stage, progress.done, progress.total
            ));
        },
        &cancel,
    );
    bar.finish_and_clear();
    let report = match result {
        Err(Error::Cancelled) => return Err(anyhow::Error::msg(interrupt::Interrupted)),
        result => result?,
    };
    let page = report::write_fusion(&args.out)?;
    for note in &report.notes {
        eprintln!("warning: {note}");
    }
    if let Some(keep) = spec.keep.filter(|keep| report.chosen < *keep) {
        eprintln!(
            "warning: {} images were kept where {keep} were asked for: there are no more",
            report.chosen
        );
    }
    show(&args.out, &report, page.as_deref(), feedback_bytes, context)
}

fn show(
    out: &Path,
    report: &FuseReport,
    page: Option<&Path>,
    feedback_bytes: u64,
    context: &Context,
) -> Result<()> {
    let cost = Cost::read(out)?;
    if context.json {
        println!(
            "{}",
            json!({
                "out": out.display().to_string(), "report": report, "page": page.map(|page| page.display().to_string()),
                "seconds": cost.seconds, "feedback_bytes": feedback_bytes,
            })
        );
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header(["backend", "made", "chosen", "weight"]);
    for part in &report.backends {
        table.add_row([
            part.name.clone(),
            part.made.to_string(),
            part.chosen.to_string(),
            format!("{:.1}", part.weight),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
    println!(
        "{} of {} images in {}, chosen in {:.1} s",
        report.chosen,
        report.made,
        out.display(),
        cost.total()
    );
    if let Some(page) = page {
        println!("{}: the most and least useful images", page.display());
    }
    Ok(())
}
