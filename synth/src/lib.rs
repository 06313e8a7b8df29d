//! Prompts in, labelled training images out.
//!
//! A [`Generator`] turns rendered prompts into images; [`run`] drives one through a whole [`JobSpec`]:
//! it plans the images, draws every image from its own seed, screens what comes out, and writes an
//! image folder or Parquet shards beside a manifest. A job killed at any moment goes on where it was.
//!
//! # One image
//!
//! ```no_run
//! use promptfed_synth::{Generator, ImageRequest, ImageSeed, engines::pocket::Pocket};
//!
//! # fn main() -> promptfed_synth::Result<()> {
//! let mut pocket = Pocket::bundled()?;
//! let request = ImageRequest::with_defaults("a photo of a church", ImageSeed::from_u64(7), pocket.describe());
//! let images = pocket.generate(&[request])?;
//! images[0].save_png("church.png".as_ref())?;
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backends;
mod bundled;
pub mod engines;
mod error;
pub mod fuse;
mod generation_record;
mod generator;
mod hash;
mod image;
pub mod job;
mod load;
pub mod queue;
pub mod registry;
mod seed;
pub mod service;
mod set;
pub mod writers;

pub use backends::{
    BACKENDS_FILE, BackendEntry, BackendJob, BackendReport, BackendState, BackendsRecord,
    BackendsReport, run_backends,
};
pub use bundled::bundled_assets;
pub use error::{Error, Result};
pub use generation_record::{Difference, GenerationRecord, RECORD_KEYWORD, RecordedImage};
pub use generator::{
    EngineInfo, Generator, ImageRequest, Origin, Reproducible, Sampler, SamplingDefaults,
};
pub use hash::hash_file;
pub use image::Image;
pub use job::{
    ClipFilter, Guidance, ImageBudget, JobProgress, JobReport, JobSpec, ListFormat, OutputFormat,
    PromptSource, Spread, classes_of, notes, run, weights_note,
};
pub use load::{is_job, load_images, open_images, open_images_as};
pub use seed::ImageSeed;
pub use set::SyntheticSet;
