//! Running an experiment, and telling what came of it.

use super::differences::differences;
use super::setting::SettingArgs;
use super::simulation::free_server;
use super::table::table;
use super::tuning::tune;
use super::{EarlierArgs, Shared};
use crate::Context;
use crate::commands::comparison_folder::ComparisonFolder;
use crate::commands::data;
use crate::commands::engines::templates_of_first;
use crate::commands::extract::PromptArgs;
use crate::commands::recipe::tell_doubts;
use crate::interrupt::{self, Interrupted};
use anyhow::Result;
use promptfed_data::DecodeReport;
use promptfed_eval::comparison::Comparison;
use promptfed_eval::journal::Journal;
use promptfed_eval::methods::{FrozenNetwork, MethodName, SILENT_CLIENTS};
use promptfed_eval::observer::Observer;
use promptfed_eval::{Experiment, ExperimentData, report};
use promptfed_synth::registry::Prepared;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// A comparison whose report is written.
pub(super) struct Measured {
    pub(super) comparison: Comparison,
    /// The report.
    pub(super) page: PathBuf,
    /// Everything as JSON.
    pub(super) json: Value,
    /// Runs in all.
    pub(super) runs: usize,
}

/// Runs an experiment, writes the report, and tells what came of it.
pub(in crate::commands) fn compare(
    experiment: &Experiment,
    prompts: &PromptArgs,
    setting: &SettingArgs,
    out: &Path,
    earlier: &EarlierArgs,
    shared: &Shared,
    context: &Context,
) -> Result<()> {
    let cancel = interrupt::flag();
    let asked = Asked {
        experiment,
        prompts,
        setting,
    };
    measure(&asked, out, earlier, shared, &cancel, context)?.show(context)
}

/// What is to be measured.
pub(super) struct Asked<'a> {
    pub(super) experiment: &'a Experiment,
    pub(super) prompts: &'a PromptArgs,
    pub(super) setting: &'a SettingArgs,
}

/// Runs an experiment and writes the report.
pub(super) fn measure(
    asked: &Asked<'_>,
    out: &Path,
    earlier: &EarlierArgs,
    shared: &Shared,
    cancel: &AtomicBool,
    context: &Context,
) -> Result<Measured> {
    let Asked {
        experiment,
        prompts,
        setting,
    } = *asked;
    setting.check_images(experiment, prompts)?;
    // Only the generative methods have engines.
    let prepared = if setting.is_generative() {
        setting.engines.prepare(setting.seed, context)?
    } else {
        Vec::new()
    };
    let unknown_words = setting.unknown_words(&prepared, experiment, prompts)?;
    let classes = &experiment.data.private.class_names;
    tell_doubts(&experiment.setting.recipe, classes);
    let folder = ComparisonFolder::take(out, earlier.earlier())?;
    let features = if setting.sees_features() {
        let file = folder.features()?;
        shared.features.with_file(&file, FrozenNetwork::WIDTH)
    } else {
        shared.features.clone()
    };
    let methods = setting.methods(prompts, &folder.server()?, &prepared, features)?;
    let journal = Journal::new(&folder.cells()?, earlier.retry_failed);
    let tuning = Instant::now();
    let tuned = tune(
        experiment, setting, &methods, &journal, shared, cancel, context,
    )?;
    let tuning = tuning.elapsed();
    let comparison = experiment.with_rates(&tuned).run_with(
        &methods,
        &journal,
        &context.progress,
        cancel,
        &shared.resources,
    );
    let mut comparison = comparison.map_err(interrupted)?;
    comparison.tuned = tuned;
    comparison.unseen_classes = unknown_words.classes();
    comparison.seconds += tuning.as_secs_f64();
    comparison
        .settings
        .extend(described(prompts, setting, &prepared));
    if setting.runs(MethodName::Fused) {
        let generated = setting.generated(prepared.len());
        comparison.settings.extend([
            (
                "images made for fused, where it is told nothing else".to_owned(),
                generated.to_string(),
            ),
            (
                "images of fused chosen by, where it is told nothing else".to_owned(),
                setting.fuse.to_string(),
            ),
        ]);
    }
    let simulation = experiment.setting.simulation.as_ref();
    let free = free_server(simulation, &comparison.summary());
    comparison.warnings.extend(free);
    let silent = silent_clients(&comparison);
    let mut told = experiment.setting.recipe.doubts(classes);
    let late: Vec<String> = comparison
        .warnings
        .iter()
        .filter(|w| !told.contains(w))
        .cloned()
        .collect();
    for warning in &silent {
        eprintln!("warning: {warning}");
    }
    // The server told of some before its first image.
    for warning in &late {
        context.progress.warn(warning);
    }
    told.extend(late);
    report::write(&comparison, &folder.report())?;
    folder.finish()?;
    let page = fs_err::canonicalize(folder.report())?;
    let json = json!({
        "methods": comparison.summary(), "pairs": comparison.pairs, "report": page.display().to_string(), "seconds": comparison.seconds,
        "version": comparison.version, "unknown_words": unknown_words, "silent_clients": silent,
        "read_as": {
            "private": experiment.data.private.parts, "test": experiment.data.test.parts,
            "public": experiment.data.public.as_ref().map(|public| &public.parts),
        },
        "warnings": warnings(&experiment.data).into_iter().chain(told).collect::<Vec<_>>(),
        "failures": comparison.failures, "tuned": comparison.tuned,
    });
    Ok(Measured {
        comparison,
        page,
        json,
        runs: methods.len() * experiment.setting.seeds.len(),
    })
}

impl Measured {
    /// Prints the table, or everything as JSON.
    ///
    /// # Errors
    /// If a run failed.
    fn show(&self, context: &Context) -> Result<()> {
        if context.json {
            println!("{}", self.json);
        } else {
            println!("{}", table(&self.comparison));
            if let Some(differences) = differences(&self.comparison.pairs) {
                println!("{differences}");
            }
            println!(
                "{:.0} s in all; report: {}",
                self.comparison.seconds,
                self.page.display()
            );
        }
        refuse_failures(self.comparison.failures.len(), self.runs)
    }
}

/// Fails where runs failed.
pub(super) fn refuse_failures(failed: usize, runs: usize) -> Result<()> {
    if failed == 0 {
        return Ok(());
    }
    Err(anyhow::Error::msg(format!(
        "{failed} of {runs} runs failed, as the report says; --resume --retry-failed runs them again"
    )))
}

/// Tells what a comparison that was stopped has kept.
pub(super) fn interrupted(error: promptfed_eval::Error) -> anyhow::Error {
    match error {
        promptfed_eval::Error::Cancelled { kept } => {
            eprintln!("{kept} runs are kept");
            anyhow::Error::msg(Interrupted)
        }
        error => error.into(),
    }
}

/// Everything that was left out or not used in listing the images.
fn warnings(data: &ExperimentData) -> Vec<String> {
    [&data.private, &data.test]
        .into_iter()
        .chain(&data.public)
        .flat_map(|dataset| data::warnings(dataset, &DecodeReport::default()))
        .collect()
}

/// Which runs had clients of whose prompts nothing was left.
fn silent_clients(comparison: &Comparison) -> Vec<String> {
    let rows = comparison.provenance.iter();
    rows.filter(|(name, _)| name.contains(SILENT_CLIENTS))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect()
}

fn described(
    prompts: &PromptArgs,
    setting: &SettingArgs,
    prepared: &[Prepared],
) -> Vec<(String, String)> {
    let level = prompts.wording.level;
    let score = setting.filter.min_score();
    let score = score.map_or("no filter".to_owned(), |score| score.to_string());
    [
        ("prompt level", level.to_string()),
        (
            "templates",
            prompts
                .wording
                .templates(templates_of_first(prepared))
                .to_owned(),
        ),
        ("captioner", prompts.captioner(level).to_owned()),
        ("counts released", prompts.counts.to_string()),
        ("synthetic images", setting.images.to_string()),
        ("least CLIP score", score),
        ("epochs, central", setting.epochs.to_string()),
        ("epochs, synthetic", setting.synthetic_epochs.to_string()),
        ("federated rounds", setting.rounds.to_string()),
        ("local epochs", setting.local_epochs.to_string()),
        ("clients in a round", setting.participation.to_string()),
        ("of which drop out", setting.dropout.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .chain(prompts.release.described())
    .collect()
}
