//! Messages between a client and a server: JSON bodies of the HTTP interface.
//!
//! Messages that a server reads refuse unknown fields and have a `validate` method with documented ranges. Answers of a
//! server are read leniently: fields that a later server adds are ignored, and states and kinds of problems that this version does not know
//! are read as unknown.

mod access;
mod decimal;
mod fuse;
mod ids;
mod name;
mod operation;
mod plan;
mod problem;
mod results;
mod round;
#[cfg(feature = "openapi")]
mod schemas;

pub use access::{
    Registration, RegistrationRequest, SubmissionAnswer, SubmissionOutcome, SubmissionReceipt,
};
pub use decimal::decimal;
pub use fuse::{
    FusePlan, FusedPart, FusedSource, FusionSummary, QuotaPlan, QuotaSource, TaskModelKind,
    TaskPlan,
};
pub use ids::{ClientId, RoundId};
pub use name::shown;
pub use operation::{
    ClientEntry, DeletedRound, MAX_REGISTRATIONS, Readiness, RegistrationsRequest, RoundEvent,
    RoundMember, StoredSubmission,
};
pub use plan::{
    ClassifierArchitecture, GUIDANCE, GuidancePlan, ImageBudget, PictureFit, PromptPlan, RoundSpec,
    SourcePlan, SynthesisPlan, TrainingPlan,
};
pub use problem::{InvalidMessage, Problem, ProblemCode};
pub use results::{
    CurvePoint, EngineSummary, FilterSummary, ImageCounts, ModelSummary, PooledPrompts,
    RoundResults, SamplingSummary, Seeds, SourceOutcome, SourceSummary, StageSeconds, SubmittedSet,
    SyntheticSummary, Versions,
};
pub use round::{FailureKind, Health, RoundState, RoundStatus};

/// Media type of a prompt set in wire format.
pub const WIRE_MEDIA_TYPE: &str = "application/vnd.promptfed.prompts";
/// Media type of a trained model.
pub const MODEL_MEDIA_TYPE: &str = "application/octet-stream";
/// Media type of a [`Problem`] document (RFC 9457).
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";
/// Largest JSON message in bytes that a server reads.
pub const MAX_MESSAGE_BYTES: usize = 8 << 20;
