//! A synthesis job: plan, draw, screen, filter, write.
//!
//! The output folder holds
//!
//! | file | what |
//! |---|---|
//! | `job.json` | everything that determines the images ([`JobRecord`]) |
//! | `manifest.jsonl` | one [`ManifestRow`] per image of the plan, in order |
//! | `images/<class>/<index>.png` or `data/train-<shard>.parquet` | the images |
//! | `images/classes.tsv` | the class of every folder, whatever it is called: lines of folder, tab, class |
//! | `images/metadata.jsonl` | the prompt of every image, as Hugging Face's `datasets` reads them |
//! | `contact-sheet.png` | the first images of up to twenty classes on one page |
//! | `.promptfed/` | the lock, what the run is told, the index of pixel hashes, images on their way, the ledger of shards and what workers made; only while the job is not finished |
//!
//! An image is written before its row, under another name and moved into place; rows are appended in order. What a kill
//! interrupts has no row yet and is made again, bit for bit the same. So is an image of the manifest that is missing or
//! damaged when the job goes on.
//!
//! Nothing is written into a folder that holds anything but this job. The job file decides: with other settings the folder is
//! refused, but prompts can be added, anywhere in their list, and images per prompt. Rows stay as they are and new ones follow,
//! as long as the new plan asks for every image that was made.

mod check;
mod clip_filter;
mod contact_sheet;
mod cut;
mod cut_prompts;
mod detail;
mod draw;
mod drawn;
mod draws;
mod folder_names;
mod made;
mod manifest;
mod metadata;
mod notes;
mod orders;
mod output;
mod overview;
mod parcel;
mod pixel_index;
mod plan;
mod prompt_list;
mod prompts;
mod record;
mod report;
mod runner;
mod screen;
mod shard;
mod sharing;
mod spec;
mod state;
mod stretches;
mod tally;
mod weighted;
mod work;
mod worker;

pub use clip_filter::{ClipFilter, FilterRule};
pub use contact_sheet::contact_sheet;
pub use detail::{JobDetail, Rejected, SetAsideShard};
pub use folder_names::CLASSES_FILE;
pub(crate) use folder_names::{classes_file, folder_names};
pub use manifest::{MANIFEST_FILE, ManifestRow, read_manifest};
pub use notes::notes;
pub use orders::{Order, is_running, order, resume, retry};
pub use prompt_list::{ListFormat, classes_of};
pub(crate) use prompts::JobPrompt;
pub use prompts::PromptSource;
pub(crate) use record::differing;
pub use record::{JOB_FILE, JobRecord};
pub use report::{JobProgress, JobReport};
pub use runner::{run, run_shared};
pub use screen::Fault;
pub(crate) use shard::{SHARD_IMAGES, encode, file_name as shard_name};
pub use sharing::Sharing;
pub use spec::{Guidance, ImageBudget, JobSpec, OutputFormat, Spread};
pub use state::{JobState, Running, jobs_below};
pub use stretches::{Stretch, Stretches};
pub use weighted::weights_note;
pub use worker::{WorkerOptions, WorkerReport, work};

/// The SQLite file that holds the pixel hashes while a job is not finished, relative to its folder.
pub const INDEX_FILE: &str = ".promptfed/pixels.sqlite";
