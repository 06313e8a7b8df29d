//! The jobs of several engines, from the same prompts.

use super::{JobArgs, job};
use crate::commands::fusion::{self, Fusion, show};
use crate::commands::words::UnknownWords;
use crate::exit::BadInput;
use crate::{Context, interrupt};
use anyhow::Result;
use promptfed_prompts::protocol::{self, SourcePlan, SynthesisPlan};
use promptfed_synth::fuse::{FUSED, discard_other};
use promptfed_synth::registry::Prepared;
use promptfed_synth::{
    BackendJob, BackendReport, BackendState, Error, ImageBudget, JobProgress, SyntheticSet, notes,
    run_backends,
};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// What `--json` prints.
#[derive(Serialize)]
struct Shown<'a> {
    out: String,
    backends: &'a [BackendReport],
    accepted: u64,
    unknown_words: &'a UnknownWords,
    fused: Option<fusion::Shown<'a>>,
}

/// Runs the job of every engine in a folder of its own below `out`, or goes on with them.
pub(super) fn run(
    args: &JobArgs,
    prepared: &[Prepared],
    fusion: Option<&Fusion>,
    out: &Path,
    unknown_words: &UnknownWords,
    context: &Context,
) -> Result<()> {
    refuse_idle(args)?;
    let cancel = interrupt::flag();
    let jobs = prepared
        .iter()
        .zip(budgets(args, prepared)?)
        .map(|(engine, images)| {
            let cancel = &cancel;
            BackendJob {
                name: engine.backend().name().to_owned(),
                engine: engine.backend().engine().to_string(),
                is_service: engine.backend().engine().is_service(),
                load: Box::new(move || {
                    let loaded = engine.load(cancel)?;
                    let spec =
                        job::specify(args, engine, loaded.describe(), images).map_err(as_synth)?;
                    for note in notes(loaded.as_ref(), &spec)? {
                        eprintln!("warning: {}: {note}", engine.backend().name());
                    }
                    Ok((loaded, spec))
                }),
            }
        });
    let bars = Mutex::new(BTreeMap::new());
    let progress = |name: &str, at: &JobProgress| {
        let mut bars = bars.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = bars
            .entry(name.to_owned())
            .or_insert_with(|| context.progress.bar(&format!("images of {name}"), 1));
        bar.set_length(at.total);
        bar.set_position(at.done);
        bar.set_message(format!("{:.1} images/s", at.images_per_second));
    };
    let report = run_backends(jobs.collect(), args.seed.value, out, &progress, &cancel);
    for bar in bars
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .values()
    {
        bar.finish_and_clear();
    }
    let report = report?;
    for backend in &report.backends {
        tell(backend);
    }
    let place = out.join(FUSED);
    let fused = match fusion.filter(|_| !report.cancelled) {
        Some(fusion) => {
            let sets = SyntheticSet::all_in(out, None)?;
            discard_other(&place, &sets)?;
            let report = fusion.run(sets, &place, &cancel, context)?;
            Some((fusion, report))
        }
        None => None,
    };
    if context.json {
        let fused = fused.as_ref();
        let fused = fused.map(|(fusion, report)| fusion.shown(report, &place));
        let shown = Shown {
            out: out.display().to_string(),
            backends: &report.backends,
            accepted: report.accepted(),
            unknown_words,
            fused: fused.transpose()?,
        };
        println!("{}", serde_json::to_string(&shown)?);
    } else {
        for BackendReport {
            name,
            folder,
            report,
            ..
        } in &report.backends
        {
            if let Some(report) = report {
                println!("{name}: {}", job::summary(report, &out.join(folder)));
            }
        }
        println!("{} images in {}", report.accepted(), out.display());
        if let Some((_, fused)) = &fused {
            show(fused, &place)?;
        }
    }
    if report.cancelled {
        return Err(anyhow::Error::msg(interrupt::Interrupted));
    }
    Ok(())
}

fn tell(backend: &BackendReport) {
    if let (Some(info), Some(report)) = (&backend.info, &backend.report) {
        job::tell_doubts(&format!("{}: ", backend.name), info, report);
    }
    if let BackendState::SetAside { reason } = &backend.state {
        eprintln!(
            "warning: the engine {} was set aside: {reason}; the same command goes on with it later",
            backend.name
        );
    }
}

/// The images of every engine: of a total a share, and for each prompt as many as are asked for.
fn budgets(args: &JobArgs, prepared: &[Prepared]) -> Result<Vec<ImageBudget>> {
    let ImageBudget::Total { images, spread } = args.budget() else {
        return Ok(vec![args.budget(); prepared.len()]);
    };
    let plan = SynthesisPlan {
        sources: prepared
            .iter()
            .map(|engine| SourcePlan::new(engine.backend().name()))
            .collect(),
        images: protocol::ImageBudget::Total(images),
        steps: None,
        guidance: None,
        sampler: None,
        min_clip_score: None,
        fuse: None,
        seed: args.seed.value,
    };
    let share = |share| match share {
        protocol::ImageBudget::Total(images) => ImageBudget::Total { images, spread },
        protocol::ImageBudget::PerPrompt(images) => ImageBudget::PerPrompt(images),
    };
    if images < prepared.len() as u64 {
        let text = format!(
            "--images {images} leaves none for some of the {} engines; ask for more",
            prepared.len()
        );
        return Err(anyhow::Error::msg(text).context(BadInput));
    }
    Ok(plan.shares().into_iter().map(share).collect())
}

pub(super) fn refuse_idle(args: &JobArgs) -> Result<()> {
    let mut given = args.sd.given();
    given.extend(args.limit.map(|_| "--limit"));
    if given.is_empty() {
        return Ok(());
    }
    let text = format!(
        "{} is for one engine; leave it out, or name one --engine",
        given.join(", ")
    );
    Err(anyhow::Error::msg(text).context(BadInput))
}

/// An error of the command line's settings, as one that an engine's job can have.
fn as_synth(error: anyhow::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::Spec(format!("{error:#}")),
    }
}
