//! `promptfed synth --workers`: processes of this program that draw the job's images.

use super::JobArgs;
use crate::exit::BadInput;
use anyhow::{Context as _, Result};
use clap::Args as ClapArgs;
use promptfed_synth::engines::sd::Precision;
use promptfed_synth::job::Sharing;
use promptfed_synth::queue::Policy;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Who draws the images.
#[derive(ClapArgs, Clone, Copy)]
#[command(next_help_heading = "Workers")]
pub(super) struct WorkersArgs {
    /// Have so many worker processes of this machine draw the images, with whatever `promptfed worker OUT` joins them; 0 starts none
    #[arg(long, value_name = "N", conflicts_with_all = ["filter_clip", "fuse", "latents"], value_parser = clap::value_parser!(u32).range(..=1024))]
    workers: Option<u32>,
    /// How long a worker may be silent before its images are given to another, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "workers", value_parser = clap::value_parser!(u64).range(1..=86400))]
    lease: u64,
}

impl WorkersArgs {
    /// How many processes to start and how the job is shared, where it is.
    pub(super) fn sharing(self) -> Option<(u32, Sharing)> {
        let workers = self.workers?;
        let policy = Policy {
            lease: Duration::from_secs(self.lease),
            ..Policy::default()
        };
        // Enough for each to have one in hand and some to take next.
        let ahead = (4 * workers as usize).max(Sharing::default().ahead);
        let sharing = Sharing {
            policy,
            ahead,
            ..Sharing::default()
        };
        Some((workers, sharing))
    }

    /// Refuses workers for several engines.
    pub(super) fn refuse_several(self) -> Result<()> {
        if self.workers.is_none() {
            return Ok(());
        }
        let text = "--workers is for one engine; leave it out, or name one --engine";
        Err(anyhow::Error::msg(text).context(BadInput))
    }
}

/// Worker processes, and the thread that starts them again where they are ended.
pub(super) struct Processes {
    stop: Arc<AtomicBool>,
    watch: JoinHandle<Option<String>>,
}

/// A worker that ends sooner has not worked.
const YOUNG: Duration = Duration::from_secs(10);

/// So many that end young in a row, for each worker, and nothing can be drawn.
const MOST_YOUNG: u32 = 3;

/// How often it is looked whether they live.
const LOOK: Duration = Duration::from_millis(50);

/// How long they may take to end by themselves.
const PATIENCE: Duration = Duration::from_secs(5);

impl Processes {
    /// Starts so many workers of the job in `out`. Where none can work, `cancel` is set, and [`Processes::end`] says why.
    pub(super) fn start(
        args: &JobArgs,
        workers: u32,
        out: &Path,
        cancel: &Arc<AtomicBool>,
    ) -> Result<Self> {
        refuse_sd(args)?;
        let program = std::env::current_exe().context("this program cannot be found again")?;
        let arguments = arguments(args, out);
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, cancel) = (Arc::clone(&stop), Arc::clone(cancel));
        let watch = thread::spawn(move || {
            let start = || start(&program, &arguments, workers);
            let fault = watch(start, workers, &stopped, &cancel);
            if fault.is_some() {
                cancel.store(true, Ordering::Relaxed);
            }
            fault
        });
        Ok(Self { stop, watch })
    }

    /// Waits for the workers to end, ends those that do not, and says why none could work, where that was so.
    pub(super) fn end(self) -> Option<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.watch
            .join()
            .unwrap_or_else(|_| Some("the thread that watches the workers has failed".to_owned()))
    }
}

/// The command line of a worker.
fn arguments(args: &JobArgs, out: &Path) -> Vec<OsString> {
    let mut all: Vec<OsString> = vec!["--quiet".into()];
    // The worker reads the same configuration.
    let own: Vec<OsString> = std::env::args_os().collect();
    for (at, arg) in own.iter().enumerate() {
        let text = arg.to_string_lossy();
        if text == "--no-config" || text.starts_with("--config=") {
            all.push(arg.clone());
        } else if text == "--config" {
            all.extend(own.get(at..at + 2).into_iter().flatten().cloned());
        }
    }
    all.push("--precision".into());
    all.push(Precision::chosen().to_string().into());
    all.push("worker".into());
    all.extend(args.engines.flags());
    // A path that begins with a dash is no flag.
    all.push("--".into());
    all.push(out.into());
    all
}

fn start(program: &Path, arguments: &[OsString], workers: u32) -> std::io::Result<Child> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    if std::env::var_os("RAYON_NUM_THREADS").is_none() {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = (cores / workers.max(1) as usize).max(1);
        command.env("RAYON_NUM_THREADS", threads.to_string());
    }
    command.spawn()
}

/// Keeps so many workers alive until `stop` is set, and starts none once `cancel` is; then has them end. Says why where none could work.
fn watch(
    start: impl Fn() -> std::io::Result<Child>,
    workers: u32,
    stop: &AtomicBool,
    cancel: &AtomicBool,
) -> Option<String> {
    let mut alive: Vec<(Child, Instant)> = Vec::new();
    let (mut missing, mut young, mut fault) = (workers, 0, None);
    while !stop.load(Ordering::Relaxed) && fault.is_none() {
        // Ctrl-c ends the workers too.
        if cancel.load(Ordering::Relaxed) {
            missing = 0;
        }
        for _ in 0..std::mem::take(&mut missing) {
            match start() {
                Ok(child) => alive.push((child, Instant::now())),
                Err(error) => fault = Some(format!("a worker cannot be started: {error}")),
            }
        }
        alive.retain_mut(|(child, since)| match child.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) => {
                if !status.success() {
                    missing += 1;
                    let is_young = since.elapsed() < YOUNG;
                    young = if is_young { young + 1 } else { 0 };
                    if young >= MOST_YOUNG * workers {
                        fault = Some(told(status));
                    }
                }
                false
            }
            Err(error) => {
                fault = Some(format!("a worker cannot be watched: {error}"));
                false
            }
        });
        thread::sleep(LOOK);
    }
    let end = Instant::now() + PATIENCE;
    while !alive.is_empty() {
        let is_late = fault.is_some() || Instant::now() >= end;
        alive.retain_mut(|(child, _)| {
            if is_late {
                // It may have ended by itself.
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
            matches!(child.try_wait(), Ok(None))
        });
        thread::sleep(LOOK);
    }
    fault
}

fn told(status: ExitStatus) -> String {
    format!(
        "no worker works: the last has ended with {status}, and said above why; mend it, or draw without --workers"
    )
}

/// Refuses flags that workers do not know.
fn refuse_sd(args: &JobArgs) -> Result<()> {
    let given = args.sd.given();
    if given.is_empty() {
        return Ok(());
    }
    let text = format!(
        "{} has no effect on workers; leave it out, or draw without --workers",
        given.join(", ")
    );
    Err(anyhow::Error::msg(text).context(BadInput))
}
