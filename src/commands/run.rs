//! `promptfed run`: jobs of `synth` in folders, seen and told from another terminal.

use crate::Context;
use crate::exit::BadInput;
use anyhow::Result;
use clap::{Args as ClapArgs, Subcommand};
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use promptfed_synth::job::{
    JobDetail, JobState, Order, Running, is_running, jobs_below, order, resume, retry,
};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Jobs of `promptfed synth` in folders: list them, and tell those that run to pause, go on or end.
///
/// A folder is a job's own (`--out` of `synth`), or has such folders at most four levels below it, as that of several engines has. Whatever is
/// done to a job, its images stay the same.
#[derive(ClapArgs)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the jobs in a folder: where each stands, how many images are done, what its workers have left
    List(ListArgs),
    /// Show one job: its settings, what became of its images, what its workers gave up and why
    Show(FolderArgs),
    /// Have runs draw nothing more until `run resume`; they keep what they have loaded, and workers finish the shards in hand
    Pause(FolderArgs),
    /// Have runs that pause go on
    Resume(FolderArgs),
    /// End runs after the batch in hand; the same `synth` command goes on later
    Cancel(FolderArgs),
    /// Have the workers of jobs try the shards again that were set aside
    Retry(FolderArgs),
}

#[derive(ClapArgs)]
struct ListArgs {
    /// The folder
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

#[derive(ClapArgs)]
struct FolderArgs {
    /// The folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<()> {
    match &args.command {
        Command::List(ListArgs { folder }) => {
            show(&jobs_below(folder)?, context)?;
        }
        Command::Show(FolderArgs { folder }) => detail(&JobDetail::read(folder)?, context),
        Command::Pause(FolderArgs { folder }) => {
            tell(folder, |job| order(job, Order::Pause), context)?;
        }
        Command::Cancel(FolderArgs { folder }) => {
            tell(folder, |job| order(job, Order::Cancel), context)?;
        }
        Command::Resume(FolderArgs { folder }) => tell(folder, resume, context)?,
        Command::Retry(FolderArgs { folder }) => {
            let jobs = of_folder(folder)?;
            let mut shards = 0;
            for job in &jobs {
                shards += retry(job)?;
            }
            show(&jobs, context)?;
            if !context.json {
                println!("{shards} shards wait again");
            }
        }
    }
    Ok(())
}

/// Tells every job in a folder that runs; one that does not is refused with its reason where it is the only one.
fn tell(
    folder: &Path,
    each: impl Fn(&Path) -> promptfed_synth::Result<()>,
    context: &Context,
) -> Result<()> {
    let jobs = of_folder(folder)?;
    let mut running: Vec<&PathBuf> = jobs.iter().filter(|job| is_running(job)).collect();
    if running.is_empty() && jobs.len() > 1 {
        let text = format!(
            "{}: none of the {} jobs here runs; see `promptfed run list`",
            folder.display(),
            jobs.len()
        );
        return Err(anyhow::Error::msg(text).context(BadInput));
    }
    if running.is_empty() {
        running = jobs.iter().collect();
    }
    for job in running {
        each(job)?;
    }
    show(&jobs, context)
}

fn of_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let jobs = jobs_below(folder)?;
    if jobs.is_empty() {
        let text = format!(
            "{}: here is no job; name the folder that `promptfed synth --out` fills",
            folder.display()
        );
        return Err(anyhow::Error::msg(text).context(BadInput));
    }
    Ok(jobs)
}

fn show(jobs: &[PathBuf], context: &Context) -> Result<()> {
    let jobs: Vec<JobState> = jobs
        .iter()
        .map(|job| JobState::read(job))
        .collect::<promptfed_synth::Result<_>>()?;
    if context.json {
        println!("{}", json!({ "jobs": jobs }));
        return Ok(());
    }
    if jobs.is_empty() {
        println!("no jobs");
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header(["folder", "engine", "state", "images", "shards"]);
    for job in &jobs {
        table.add_row([
            job.folder.display().to_string(),
            job.engine.clone(),
            words(job.state).to_owned(),
            format!("{} of {}", job.done, job.planned),
            shards(job),
        ]);
    }
    println!("{table}");
    if jobs.iter().any(|job| job.state == Running::Stopped) {
        println!("a stopped job goes on with the `promptfed synth` command that began it");
    }
    Ok(())
}

fn detail(job: &JobDetail, context: &Context) {
    if context.json {
        println!("{}", json!(job));
        return;
    }
    let JobDetail {
        job: at, rejected, ..
    } = job;
    println!("{}: {}", at.folder.display(), words(at.state));
    println!(
        "engine {}, {} prompts, {} steps, seed {}",
        at.engine, job.prompts, job.steps, job.seed
    );
    println!(
        "{} of {} images are done: {} in the output; rejected: {} not numbers, {} of one colour, {} not seen by CLIP, {} copies",
        at.done,
        at.planned,
        job.accepted,
        rejected.non_finite,
        rejected.constant,
        rejected.off_class,
        rejected.duplicate
    );
    if at.shards.is_some() {
        println!("shards: {}", shards(at));
    }
    for shard in &job.set_aside {
        println!(
            "images {} to {} were set aside: {}",
            shard.first,
            shard.first + u64::from(shard.images.max(1)) - 1,
            shard.reasons.join("; ")
        );
    }
    if !job.set_aside.is_empty() && at.state != Running::Stopped {
        println!("they are tried again by `promptfed run retry`");
    } else if at.state == Running::Stopped {
        println!("it goes on with the `promptfed synth` command that began it");
    }
}

fn words(state: Running) -> &'static str {
    match state {
        Running::Running => "running",
        Running::Paused => "paused",
        Running::Ending => "ending",
        Running::Stopped => "stopped",
        Running::Done => "done",
    }
}

fn shards(job: &JobState) -> String {
    match &job.shards {
        None => String::new(),
        Some(load) => format!(
            "{} wait, {} are drawn, {} to take up, {} set aside",
            load.waiting, load.leased, load.done, load.set_aside
        ),
    }
}
