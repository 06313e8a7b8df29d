//! `promptfed worker`: draws images of a job that runs in the same folder.

use super::engines::EngineArgs;
use crate::exit::BadInput;
use crate::{Context, interrupt};
use anyhow::Result;
use clap::Args as ClapArgs;
use promptfed_synth::job::{WorkerOptions, WorkerReport, work};
use promptfed_synth::queue::WorkerId;
use serde_json::json;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::time::Duration;

/// Draw images of a job that `promptfed synth --workers` runs in a folder, as one of several processes of one machine.
///
/// The images are those that `synth` alone makes, whoever draws them. A worker may be stopped, killed or added at any time: what it had in
/// hand is given to another when it has been silent for the job's --lease. It ends when the job does. The engine must be the job's:
/// name it, its device and its precision as there.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// The folder of the job: --out of `promptfed synth`
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    engines: EngineArgs,
    /// How long to wait for somebody to run the job where nobody does, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    linger: u64,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<()> {
    let prepared = args.engines.prepare(0, context)?;
    let [engine] = prepared.as_slice() else {
        let text = "a worker draws with one engine; name one --engine, and start a worker for each";
        return Err(anyhow::Error::msg(text).context(BadInput));
    };
    let cancel = interrupt::flag();
    let mut generator = engine.load(&cancel)?;
    let options = WorkerOptions {
        // Half of the numbers, which SQLite keeps as they are.
        worker: WorkerId(RandomState::new().hash_one(std::process::id()) >> 1),
        batch: engine.batch(),
        linger: Duration::from_secs(args.linger),
    };
    let bar = context.progress.bar("shards drawn", 0);
    let mut told = |report: &WorkerReport| {
        bar.set_position(report.shards);
        bar.set_message(format!(
            "{} shards, {} images",
            report.shards, report.images
        ));
    };
    let report = work(
        generator.as_mut(),
        &args.folder,
        &options,
        &mut told,
        &cancel,
    )?;
    bar.finish_and_clear();
    if context.json {
        let folder = args.folder.display().to_string();
        println!(
            "{}",
            json!({ "folder": folder, "worker": options.worker.to_string(), "report": report })
        );
    } else {
        println!("{}", summary(args, &report));
    }
    if report.cancelled {
        return Err(anyhow::Error::msg(interrupt::Interrupted));
    }
    Ok(())
}

fn summary(args: &Args, report: &WorkerReport) -> String {
    format!(
        "{} images in {} shards for {} ({} drawn too late, {} failed)",
        report.images,
        report.shards,
        args.folder.display(),
        report.late,
        report.failed
    )
}
