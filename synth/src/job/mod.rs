//! A synthesis job: plan, draw, screen, write; resumable at any moment.

mod prompts;
mod report;
mod spec;

use std::path::Path;
use std::sync::atomic::AtomicBool;

pub use prompts::PromptSource;
pub use report::{JobProgress, JobReport};
pub use spec::{Guidance, ImageBudget, JobSpec, OutputFormat, Spread};

use crate::{Generator, Result};

/// Name of the SQLite file that holds the pixel hashes while a job runs.
pub const INDEX_FILE: &str = "pixels.sqlite";

/// Runs a job in `out_dir`, or goes on with the job that lies there.
///
/// `progress` is called after every batch; setting `cancel` stops the job cleanly after the batch in work.
///
/// # Errors
/// A specification that cannot be followed, a folder that holds a different job, a faulty prompt, a failing
/// engine or disk. What was done before the error stays and is not made again.
pub fn run(
    generator: &mut dyn Generator,
    spec: &JobSpec,
    out_dir: &Path,
    progress: &mut dyn FnMut(&JobProgress),
    cancel: &AtomicBool,
) -> Result<JobReport> {
    spec.validate()?;
    let _ = (generator, out_dir, progress, cancel);
    Err(crate::Error::Spec("not yet".into()))
}
