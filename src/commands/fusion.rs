//! How sets are fused, on the command line.

use super::{data, idle};
use crate::exit::BadInput;
use crate::{Context, interrupt};
use anyhow::Result;
use clap::{ArgMatches, Args as ClapArgs, ValueEnum};
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use promptfed_eval::methods::ChoosingSpec;
use promptfed_eval::report;
use promptfed_learn::Recipe;
use promptfed_prompts::protocol::FusePlan;
use promptfed_synth::fuse::select::Mode;
use promptfed_synth::fuse::{
    Aids, Cost, Feedback, FuseProgress, FuseReport, FuseSpec, QuotaSource, SoftLabels, Softmax,
    TaskKind, TaskSpec, WeightAdjustment, fuse,
};
use promptfed_synth::{Error, SyntheticSet};
use promptfed_vision::EfficientNet;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Most bytes of a client's feedback that are read.
const MAX_FEEDBACK_BYTES: u64 = 16 << 20;

/// How many images a fusion chooses.
#[derive(ClapArgs)]
#[command(next_help_heading = "Fusion")]
pub(crate) struct KeepArgs {
    /// Images chosen in all, in proportion to what was made of each class and domain; needed unless everything is
    #[arg(long, value_name = "N")]
    pub(crate) keep: Option<u64>,
}

/// At which size a fusion looks at images, where nothing else says it.
#[derive(ClapArgs)]
#[command(next_help_heading = "Fusion")]
pub(crate) struct TaskSizeArgs {
    /// Side in pixels that images are resized to for task models
    #[arg(long, value_name = "PIXELS", default_value_t = Recipe::default().image_size)]
    pub(crate) image_size: usize,
}

/// What else there is to say about a fusion.
#[derive(Clone, Copy)]
pub(crate) struct Choosing {
    pub(crate) select: Mode,
    pub(crate) keep: Option<u64>,
    /// Side in pixels that images are resized to for task models.
    pub(crate) image_size: usize,
    pub(crate) seed: u64,
}

/// What a fusion does, but for the mode, the number of images, their size, and the seed.
#[derive(ClapArgs, Clone)]
#[command(next_help_heading = "Fusion")]
pub(crate) struct FusionArgs {
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
    /// Train on soft labels: the votes of the other backends' task models have this part of each chosen image's label, above 0 to 1
    #[arg(long, value_name = "SHARE")]
    soft_labels: Option<f64>,
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
    /// Work out confidence, variability and influence of every image for the report, also where the choice does not need them
    #[arg(long)]
    signals: bool,
}

/// The flags about fusion.
pub(super) const FUSION_FLAGS: [&str; 11] = [
    "quotas",
    "feedback",
    "temperature",
    "floor",
    "adjust_weights",
    "soft_labels",
    "task_model",
    "task_epochs",
    "task_width",
    "task_images",
    "signals",
];

impl FusionArgs {
    /// What is meant where nothing is said, with quotas by transfer.
    pub(crate) fn by_transfer() -> Self {
        let TaskSpec {
            model,
            recipe,
            images,
        } = TaskSpec::default();
        Self {
            quotas: Some(QuotasArg::Transfer),
            feedback: Vec::new(),
            temperature: None,
            floor: Softmax::default().floor,
            adjust_weights: None,
            soft_labels: None,
            task_model: model,
            task_epochs: recipe.training.epochs,
            task_width: recipe.width,
            task_images: images,
            signals: false,
        }
    }
}

#[derive(ValueEnum, Clone, Copy)]
enum QuotasArg {
    /// How much better each backend's task model names the images of others than the rest do; for three backends or more
    Transfer,
    /// What clients found on private images: see --feedback
    Feedback,
}

/// Refuses flags that would have no effect beside the others; `size` are those of [`TaskSizeArgs`], where the command has them.
pub(super) fn refuse_idle(matches: &ArgMatches, size: &[&str]) -> Result<()> {
    if !matches.contains_id("quotas") {
        let flags = ["temperature", "floor", "feedback"];
        idle::refuse(matches, &flags, "without --quotas")?;
    }
    let modes = ["select", "fuse"].map(|id| matches.try_get_one::<Mode>(id).ok().flatten());
    let mode = modes.into_iter().flatten().next().copied();
    let quotas = matches.get_one::<QuotasArg>("quotas");
    let by_transfer = matches!(quotas, Some(QuotasArg::Transfer));
    let needs = mode.map(|mode| mode.select().needs()).unwrap_or_default();
    let adjusts = matches.contains_id("adjust_weights");
    // Between rounds they say who is good at what.
    let rounds = matches.try_get_one::<u32>("rounds").ok().flatten();
    let in_rounds = rounds.is_some_and(|rounds| *rounds > 1);
    let trains = needs.agreement
        || needs.influence
        || by_transfer
        || in_rounds
        || matches.contains_id("soft_labels")
        || matches.get_flag("signals");
    if !trains {
        let flags = ["task_model", "task_images"];
        idle::refuse(
            matches,
            &flags,
            "where no task model is trained; give --signals",
        )?;
    }
    if !trains && !adjusts {
        let flags = [&["task_epochs", "task_width"][..], size].concat();
        idle::refuse(
            matches,
            &flags,
            "where no network is trained; give --signals or --adjust-weights",
        )?;
    }
    let is_linear = matches.get_one::<TaskKind>("task_model") == Some(&TaskKind::Features);
    if is_linear && !adjusts {
        let flags = ["task_epochs", "task_width"];
        idle::refuse(
            matches,
            &flags,
            "beside --task-model features, which trains no network",
        )?;
    }
    Ok(())
}

/// A fusion as the command line says it, with what it uses.
pub(crate) struct Fusion {
    pub(crate) spec: FuseSpec,
    network: Option<EfficientNet>,
    feedback: Option<Feedback>,
    feedback_bytes: u64,
}

impl FusionArgs {
    /// The same where a method of a comparison is told something else.
    pub(crate) fn told(&self, told: &ChoosingSpec) -> Self {
        let quotas = told.by_transfer.map(|by| by.then_some(QuotasArg::Transfer));
        let adjust = told
            .adjust_weights
            .map(|times| (times > 0).then_some(times));
        let soft = told.soft_labels.map(|share| (share > 0.0).then_some(share));
        Self {
            quotas: quotas.unwrap_or(self.quotas),
            adjust_weights: adjust.unwrap_or(self.adjust_weights),
            soft_labels: soft.unwrap_or(self.soft_labels),
            ..self.clone()
        }
    }

    /// The fusion that is asked for; everything that it uses is read.
    pub(crate) fn fusion(&self, asked: Choosing) -> Result<Fusion> {
        let feedback = feedback(&self.feedback)?;
        let (feedback, feedback_bytes) = feedback.map_or((None, 0), |(f, bytes)| (Some(f), bytes));
        let spec = self.spec(asked, feedback.as_ref());
        spec.validate()?;
        let fault = match (spec.quotas, &feedback) {
            (Some(QuotaSource::Feedback), None) => {
                Some("quotas by feedback need the clients' feedback: give --feedback FILE")
            }
            (Some(QuotaSource::Transfer) | None, Some(_)) => {
                Some("--feedback has no effect without --quotas feedback")
            }
            _ => None,
        };
        if let Some(fault) = fault {
            return Err(anyhow::Error::msg(fault).context(BadInput));
        }
        // Rounds compare the task models even where the selection does not.
        let needed = spec.needs_network() || spec.task.model == TaskKind::Features;
        let network = needed.then(network).transpose()?;
        Ok(Fusion {
            spec,
            network,
            feedback,
            feedback_bytes,
        })
    }

    /// What a round is told.
    pub(crate) fn plan(&self, asked: Choosing) -> Result<FusePlan> {
        if !self.feedback.is_empty() {
            let text = "a round's server has no feedback of clients; leave --feedback out, and choose --quotas transfer";
            return Err(anyhow::Error::msg(text).context(BadInput));
        }
        let spec = self.spec(asked, None);
        spec.validate()?;
        Ok(spec.plan()?)
    }

    fn spec(&self, asked: Choosing, feedback: Option<&Feedback>) -> FuseSpec {
        let Choosing {
            select,
            keep,
            image_size,
            seed,
        } = asked;
        let recipe = Recipe {
            image_size,
            width: self.task_width,
            ..TaskSpec::default().recipe
        };
        FuseSpec {
            select,
            keep,
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
            soft_labels: self.soft_labels.map(|share| SoftLabels { share }),
            task: TaskSpec {
                model: self.task_model,
                recipe: recipe.with(self.task_epochs, 0),
                images: self.task_images,
            },
            signals: self.signals,
            seed,
        }
    }
}

impl Fusion {
    /// What it uses beside its sets.
    pub(crate) fn aids(&self) -> Aids<'_> {
        Aids {
            network: self.network.as_ref(),
            feedback: self.feedback.as_ref(),
        }
    }

    /// Fuses `sets` in `out`, shows how far it is, and writes the page.
    pub(crate) fn run(
        &self,
        sets: Vec<SyntheticSet>,
        out: &Path,
        cancel: &AtomicBool,
        context: &Context,
    ) -> Result<FuseReport> {
        let bar = context.progress.bar("fusing", 0);
        let mut progress = |at: FuseProgress| bar.set_message(told(at));
        let result = fuse(sets, &self.spec, self.aids(), out, &mut progress, cancel);
        bar.finish_and_clear();
        let report = match result {
            Err(Error::Cancelled) => return Err(anyhow::Error::msg(interrupt::Interrupted)),
            result => result?,
        };
        self.finish(&report, out)?;
        Ok(report)
    }

    /// Writes the page of a finished fusion and tells what there is to remark.
    pub(crate) fn finish(&self, report: &FuseReport, out: &Path) -> Result<()> {
        report::write_fusion(out)?;
        for note in &report.notes {
            eprintln!("warning: {note}");
        }
        if let Some(keep) = self.spec.keep.filter(|keep| report.chosen < *keep) {
            eprintln!(
                "warning: {} images were kept where {keep} were asked for: there are no more",
                report.chosen
            );
        }
        Ok(())
    }

    /// The result for programs.
    pub(crate) fn shown<'a>(&self, report: &'a FuseReport, out: &Path) -> Result<Shown<'a>> {
        Ok(Shown {
            out: out.display().to_string(),
            report,
            page: page(out).display().to_string(),
            seconds: Cost::read(out)?.seconds,
            feedback_bytes: self.feedback_bytes,
        })
    }
}

/// What `--json` prints of a fusion. A type of its own: `json!` writes an f32 with all digits of an f64.
#[derive(Serialize)]
pub(crate) struct Shown<'a> {
    out: String,
    report: &'a FuseReport,
    page: String,
    /// By stage.
    seconds: BTreeMap<String, f64>,
    feedback_bytes: u64,
}

fn page(out: &Path) -> PathBuf {
    out.join("report.html")
}

/// How far a fusion is, in words.
pub(crate) fn told(at: FuseProgress) -> String {
    format!("{}: {} of {}", at.stage, at.done, at.total)
}

/// Prints the result for people.
pub(crate) fn show(report: &FuseReport, out: &Path) -> Result<()> {
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
        Cost::read(out)?.total()
    );
    println!("{}: the most and least useful images", page(out).display());
    Ok(())
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

/// The folder of EfficientNet-lite0 beside the other assets.
pub(super) const NETWORK: &str = "efficientnet-lite0";

/// EfficientNet-lite0, which comes with the program.
pub(super) fn network() -> Result<EfficientNet> {
    Ok(EfficientNet::load(&data::assets()?.join(NETWORK))?)
}
