//! Flags that would have no effect.

use super::grid;
use crate::commands::fusion::{self, FUSION_FLAGS};
use crate::commands::{engines, extract, idle};
use crate::exit::BadInput;
use anyhow::Result;
use clap::ArgMatches;
use promptfed_eval::methods::{MethodName, MethodSpec};
use promptfed_prompts::Level;
use promptfed_synth::fuse::select::Mode;

/// What only the generative methods read, but for engines and captions.
const OF_FGL: [&str; 12] = [
    "filter_clip",
    "min_score",
    "images",
    "steps",
    "guidance",
    "sampler",
    "synthetic_epochs",
    "templates",
    "counts",
    "min_group",
    "exclude_class",
    "max_prompts",
];

/// What only clients' prompts are made by.
const OF_PROMPTS: [&str; 7] = [
    "level",
    "captioner",
    "model",
    "counts",
    "min_group",
    "exclude_class",
    "max_prompts",
];

/// What only training reads.
const OF_TRAINING: [&str; 13] = [
    "precision",
    "fit",
    "architecture",
    "width",
    "batch_size",
    "learning_rate",
    "momentum",
    "weight_decay",
    "label_smoothing",
    "flip",
    "no_flip",
    "shift",
    "validation_fraction",
];

/// The same, of classifiers that begin with nothing: a head on a frozen network's features reads the rest.
const OF_CLASSIFIERS: [&str; 11] = [
    "precision",
    "architecture",
    "width",
    "batch_size",
    "learning_rate",
    "momentum",
    "weight_decay",
    "label_smoothing",
    "flip",
    "no_flip",
    "shift",
];

/// Refuses flags of methods that are not run.
pub(in crate::commands) fn refuse_idle(matches: &ArgMatches) -> Result<()> {
    if matches.contains_id("grid") {
        return grid::refuse_beside(matches);
    }
    let methods: Vec<&MethodSpec> = matches
        .get_many("methods")
        .map_or(Vec::new(), Iterator::collect);
    let runs = |name| methods.iter().any(|method| method.name == name);
    for (index, method) in methods.iter().enumerate() {
        if methods[..index].contains(method) {
            let text = format!(
                "--methods names {method} twice, and every method runs once with each seed; name it once, or tell it something else"
            );
            return Err(anyhow::Error::msg(text).context(BadInput));
        }
    }
    if methods.iter().all(|method| method.name.trains_nothing()) {
        idle::refuse(
            matches,
            &OF_TRAINING,
            "where no method trains; add one to --methods",
        )?;
    }
    if methods
        .iter()
        .all(|method| method.name.trains_nothing() || method.name.needs_features())
    {
        idle::refuse(
            matches,
            &OF_CLASSIFIERS,
            "where no method trains a classifier of its own; add fedavg or another to --methods",
        )?;
    }
    if !methods.iter().any(|method| method.name.needs_public()) {
        let reason = "without a method that looks at public images; add fedmd to --methods";
        idle::refuse(matches, &["public"], reason)?;
    }
    if !methods.iter().any(|method| method.name.is_of_rounds()) {
        let flags = ["rounds", "local_epochs", "participation", "dropout"];
        let reason = "without a method of rounds; add fedavg or another to --methods";
        idle::refuse(matches, &flags, reason)?;
    } else if methods
        .iter()
        .all(|method| method.name == MethodName::FglRounds || !method.name.is_of_rounds())
    {
        let reason = "beside fgl-rounds, which is told its own; give fgl-rounds:rounds=5";
        idle::refuse(matches, &["rounds"], reason)?;
    }
    if !runs(MethodName::Centralised) && !runs(MethodName::Local) {
        idle::refuse(
            matches,
            &["epochs"],
            "without centralised or local; add one to --methods",
        )?;
    }
    if runs(MethodName::Fused) {
        fusion::refuse_idle(matches, &[])?;
        if matches.get_one::<Mode>("fuse") == Some(&Mode::All) {
            let reason =
                "beside --fuse all, which trains on everything that is made; give --images";
            idle::refuse(matches, &["generated"], reason)?;
        }
    } else {
        let flags = [&["generated", "fuse"][..], &FUSION_FLAGS].concat();
        idle::refuse(matches, &flags, "without fused; add it to --methods")?;
    }
    if !methods.iter().any(|method| method.name.is_generative()) {
        const WITHOUT: &str = "without a method that makes images; add fgl or another to --methods";
        engines::refuse_all(matches, WITHOUT)?;
        idle::refuse(matches, &OF_FGL, WITHOUT)?;
        return idle::refuse(matches, &["level", "captioner", "model"], WITHOUT);
    }
    if methods
        .iter()
        .filter(|method| method.name.is_generative())
        .all(|method| method.name == MethodName::ZeroUpload)
    {
        idle::refuse(
            matches,
            &OF_PROMPTS,
            "beside zero-upload, whose prompts are the class names; add fgl to --methods",
        )?;
    }
    if methods
        .iter()
        .any(|method| method.level() == Some(Level::Instance))
    {
        return Ok(());
    }
    extract::refuse_idle_captions(matches)
}
