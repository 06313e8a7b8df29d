//! A synthesis job: plan, draw, screen, filter, write.
//!
//! The output folder holds
//!
//! | file | what |
//! |---|---|
//! | `job.json` | everything that determines the images ([`JobRecord`]) |
//! | `manifest.jsonl` | one [`ManifestRow`] per image of the plan, in order |
//! | `images/<class>/<index>.png` or `data/train-<shard>.parquet` | the images |
//! | `pixels.sqlite`, `staging/`, `partial` | only while the job is not finished |
//!
//! An image is written before its row, under another name and moved into place; rows are appended in order. What a kill
//! interrupts has no row yet and is made again, bit for bit the same.

mod clip_filter;
mod draw;
mod manifest;
mod notes;
mod output;
mod pixel_index;
mod plan;
mod prompts;
mod record;
mod report;
mod runner;
mod screen;
mod shard;
mod spec;

pub use clip_filter::{ClipFilter, FilterRule};
pub use manifest::{MANIFEST_FILE, ManifestRow, read_manifest};
pub use notes::notes;
pub use prompts::PromptSource;
pub use record::{JOB_FILE, JobRecord};
pub use report::{JobProgress, JobReport};
pub use runner::run;
pub use screen::Fault;
pub use spec::{Guidance, ImageBudget, JobSpec, OutputFormat, Spread};

/// Name of the SQLite file that holds the pixel hashes while a job runs.
pub const INDEX_FILE: &str = "pixels.sqlite";
