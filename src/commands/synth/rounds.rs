//! Rounds of generation by several engines, with feedback between them.

use super::{JobArgs, source};
use crate::commands::fusion::{self, Fusion, show, told};
use crate::exit::BadInput;
use crate::{Context, interrupt};
use anyhow::{Context as _, Result};
use promptfed_synth::fuse::{
    FUSED, Makers, RoundQuota, RoundWritten, RoundsProgress, RoundsSpec, rounds,
};
use promptfed_synth::registry::Prepared;
use promptfed_synth::{EngineInfo, Error, Generator, JobSpec, PromptSource};
use serde::Serialize;
use std::path::Path;

/// Images of each class whose prompts are asked for twice as often in the next round.
const EXAMPLES: u64 = 8;

/// What `--json` prints.
#[derive(Serialize)]
struct Shown<'a> {
    out: String,
    quotas: &'a [Vec<RoundQuota>],
    failed: &'a [(String, u32, String)],
    written: &'a [RoundWritten],
    fused: fusion::Shown<'a>,
}

/// Makes images in rounds in `out` and fuses them in `out/fused`, or goes on with both.
pub(super) fn run(
    args: &JobArgs,
    prepared: &[Prepared],
    fusion: &Fusion,
    out: &Path,
    context: &Context,
) -> Result<()> {
    super::several::refuse_idle(args)?;
    let images = args
        .images
        .context("--rounds shares out a number of images: give --images N")
        .context(BadInput)?;
    let rounds_asked = u64::from(args.rounds).max(1);
    if !images.is_multiple_of(rounds_asked) {
        let text = format!(
            "--images {images} cannot be shared evenly by {rounds_asked} rounds; give a multiple"
        );
        return Err(anyhow::Error::msg(text).context(BadInput));
    }
    let batch = prepared.iter().map(Prepared::batch).min().unwrap_or(1);
    let spec = RoundsSpec {
        rounds: args.rounds,
        images: images / rounds_asked,
        prompts: source::source(args)?,
        examples: EXAMPLES,
        negatives: args.negatives,
        fuse: fusion.spec.clone(),
    };
    let filter = args.filter.load()?;
    let setup = |prompts: PromptSource, engine: &EngineInfo| {
        let mut job = JobSpec::new(prompts, &engine.defaults);
        args.sampling.apply(&mut job);
        job.output = args.format.into();
        job.attempts = args.attempts;
        job.records = !args.no_record;
        job.batch = batch;
        job.filter.clone_from(&filter);
        job
    };
    let cancel = interrupt::flag();
    let mut backends = Vec::with_capacity(prepared.len());
    for engine in prepared {
        backends.push((engine.backend().name().to_owned(), engine.load(&cancel)?));
    }
    let bar = context.progress.bar("rounds", 0);
    let mut progress = |at: RoundsProgress| {
        bar.set_message(match at {
            RoundsProgress::Making {
                round,
                backend,
                job,
            } => format!("round {round}: {} of {} of {backend}", job.done, job.total),
            RoundsProgress::Writing { round, at } => format!(
                "round {round}: {} of {} prompts, {} refused",
                at.written, at.wanted, at.refused
            ),
            RoundsProgress::Fusing(at) => told(at),
        });
    };
    let aids = fusion.aids();
    let readers = backends.iter().map(|(_, engine)| engine.as_ref());
    let readers: Vec<&dyn Generator> = readers.collect();
    let mut writer = args.writing.open(&readers, &cancel)?;
    let makers = Makers {
        backends: &mut backends,
        writing: writer
            .as_mut()
            .map(|writer| args.writing.writing(writer.as_mut())),
    };
    let result = rounds(makers, &spec, &setup, aids, out, &mut progress, &cancel);
    bar.finish_and_clear();
    let report = match result {
        Err(Error::Cancelled) => return Err(anyhow::Error::msg(interrupt::Interrupted)),
        result => result?,
    };
    for (name, round, reason) in &report.failed {
        eprintln!("warning: the engine {name} was set aside in round {round}: {reason}");
    }
    let fused = out.join(FUSED);
    fusion.finish(&report.fused, &fused)?;
    for of_round in &report.written {
        let RoundWritten {
            round,
            wanted,
            written,
            refused,
        } = of_round;
        eprintln!(
            "note: round {round}: {written} of {wanted} prompts written, {} refused",
            refused.total()
        );
    }
    if context.json {
        let shown = Shown {
            out: out.display().to_string(),
            quotas: &report.quotas,
            failed: &report.failed,
            written: &report.written,
            fused: fusion.shown(&report.fused, &fused)?,
        };
        println!("{}", serde_json::to_string(&shown)?);
        return Ok(());
    }
    show(&report.fused, &fused)
}
