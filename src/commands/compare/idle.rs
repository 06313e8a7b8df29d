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

/// What every method reads that trains, also one that trains a head on a frozen network's features.
const OF_TRAINING: [&str; 2] = ["fit", "validation_fraction"];

/// What only methods read that train a classifier of their own.
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

/// What only simulated links and computers have.
const OF_SIMULATION: [&str; 4] = ["stragglers", "server_speed", "deadline", "target_accuracy"];

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
        let flags = [&OF_TRAINING[..], &OF_CLASSIFIERS].concat();
        idle::refuse(
            matches,
            &flags,
            "where no method trains; add one to --methods",
        )?;
    } else if methods
        .iter()
        .all(|method| method.name.trains_nothing() || method.name.needs_features())
    {
        idle::refuse(
            matches,
            &OF_CLASSIFIERS,
            "where no method trains a classifier of its own; add fedavg or another to --methods",
        )?;
    }
    refuse_idle_rates(matches, &methods)?;
    refuse_idle_links(matches, &methods)?;
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
        // What one of them is told may need what the flags say.
        let is_told = methods.iter().any(|method| method.says_how_to_choose());
        if !is_told {
            fusion::refuse_idle(matches, &[])?;
        }
        if !is_told && matches.get_one::<Mode>("fuse") == Some(&Mode::All) {
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
        idle::refuse(matches, &["quality"], WITHOUT)?;
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
        .filter(|method| method.name.is_generative() && method.name != MethodName::ZeroUpload)
        .all(|method| method.level().is_some())
    {
        let reason = "where every method that makes images is told its own (fgl:level=..)";
        idle::refuse(matches, &["level"], reason)?;
    }
    if methods
        .iter()
        .any(|method| method.level() == Some(Level::Instance))
    {
        return Ok(());
    }
    extract::refuse_idle_captions(matches)
}

/// Refuses learning rates to choose among where nobody takes one, or beside one for all.
fn refuse_idle_rates(matches: &ArgMatches, methods: &[&MethodSpec]) -> Result<()> {
    if !methods.iter().any(|method| method.takes_rate()) {
        let reason = "where no method takes a learning rate; add fedavg or another to --methods";
        return idle::refuse(matches, &["tune"], reason);
    }
    if idle::is_given(matches, "tune") {
        let reason = "beside --tune, which chooses one for every method";
        return idle::refuse(matches, &["learning_rate"], reason);
    }
    Ok(())
}

/// Refuses what means nothing without links, a deadline where some method would not keep it, and what no method is touched by.
fn refuse_idle_links(matches: &ArgMatches, methods: &[&MethodSpec]) -> Result<()> {
    if !idle::is_given(matches, "links") {
        let reason = "without links to simulate; give --links up=1MB,down=10MB";
        return idle::refuse(matches, &OF_SIMULATION, reason);
    }
    if let Some(method) = methods.iter().find(|method| method.name.waits_for_all()) {
        let reason = format!("beside {method}, which waits for all; leave it out of --methods");
        idle::refuse(matches, &["deadline"], &reason)?;
    }
    if !methods.iter().any(|method| method.name.is_of_rounds()) {
        let reason = "without a method of rounds, which alone go on without clients; add fedavg or another to --methods";
        idle::refuse(matches, &["deadline"], reason)?;
    }
    if !methods
        .iter()
        .any(|method| method.name.has_clients_compute())
    {
        let reason =
            "where no client trains on the simulated clock; add fedavg or another to --methods";
        idle::refuse(matches, &["stragglers"], reason)?;
    }
    Ok(())
}
