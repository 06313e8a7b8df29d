//! Several sets of images made into one that is better than any of them.
//!
//! [`fuse()`] looks at the images of several jobs ([`SyntheticSet`](crate::SyntheticSet)), chooses some by a [`Mode`](select::Mode), weighs
//! them, and writes references to them. The folder of a fused set holds
//!
//! | file | what |
//! |---|---|
//! | `fuse.json` | everything that determines the choice ([`FuseRecord`]) |
//! | `fused.jsonl` | one [`FusedRow`] for each chosen image: job, row, weight, reason, lineage |
//! | `report.json` | what was found ([`FuseReport`]) |
//! | `cost.json` | seconds by stage ([`Cost`]), the only file that differs from run to run |
//! | `task-models/` | each backend's task model, for clients who score them ([`Feedback`]) |
//! | `.promptfed/` | the lock, features and scores on their way; only while the fusion is not finished |
//!
//! Images are never copied. A set that has moved or changed is an error when the fused set is opened.

mod adjusting;
mod budget;
mod candidates;
mod export;
mod features;
mod feedback;
mod fused;
#[cfg(test)]
mod golden;
mod loading;
mod looking;
mod plan;
mod quotas;
mod record;
mod report;
mod rounds;
mod run;
pub mod select;
pub mod signals;
mod soft_labels;
mod spec;
mod task_model;
mod weights;

pub use budget::Quota;
pub use candidates::{Candidate, Candidates};
pub use export::{Export, export};
pub use features::FeatureFile;
pub use feedback::{Feedback, FeedbackCell, FeedbackKind, Noise, NoiseRecord, Sensitivity};
pub use fused::{folder_of, is_fused, open_fused, open_fused_as};
pub use loading::load_fused;
pub use looking::{LENGTH, features_of, look_at};
pub use quotas::{Scores, Softmax, apportion};
pub use record::{
    FUSE_FILE, FUSED_FILE, FuseRecord, FusedRow, SetRecord, discard_other, read_fused,
};
pub use report::{BackendPart, COST_FILE, Cost, FuseReport, REPORT_FILE, Ranked};
pub(crate) use rounds::jobs_of_rounds;
pub use rounds::{
    Backend, FUSED, Makers, QUOTAS_FILE, ROUNDS_FILE, RoundQuota, RoundWriting, RoundWritingSpec,
    RoundWritten, RoundsProgress, RoundsReport, RoundsSpec, Setup, read_quotas, read_written,
    rounds,
};
pub use run::{Aids, FuseProgress, fuse};
pub use soft_labels::SoftLabels;
pub use spec::{FuseSpec, QuotaSource, TaskKind, TaskSpec};
pub use task_model::{TASK_MODELS, TASK_MODELS_FILE, read_task_models};
pub use weights::WeightAdjustment;
