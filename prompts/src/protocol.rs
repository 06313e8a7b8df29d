//! Messages between a client and a server: JSON bodies of the HTTP interface.
//!
//! Messages that a server reads refuse unknown fields and have a `validate` method with documented ranges. Answers of a
//! server are read leniently: fields that a later server adds are ignored, and states and kinds of problems that this version does not know
//! are read as unknown.

mod access;
mod decimal;
mod enrolment;
mod fuse;
mod ids;
mod images;
mod name;
mod operation;
mod plan;
mod problem;
mod results;
mod round;
#[cfg(feature = "openapi")]
mod schemas;
mod sealing;
mod training;

pub use access::{
    RegistrationRequest, SubmissionAnswer, SubmissionOutcome, SubmissionReceipt, Withdrawal,
};
pub use decimal::decimal;
pub use enrolment::{
    CODE_SECONDS, Enrolment, EnrolmentRequest, Invitation, MAX_CODE_SECONDS, MAX_ENROLMENT_BYTES,
};
pub use fuse::{
    FusePlan, FusedPart, FusedSource, FusionSummary, QuotaPlan, QuotaSource, TaskModelKind,
    TaskPlan,
};
pub use ids::{ClientId, RoundId};
pub use images::{
    DropRequest, DroppedImages, IMAGE_MEDIA_TYPE, ImagePage, LEAST_HASH_DIGITS,
    MAX_DROPPED_AT_ONCE, MAX_LISTED_IMAGES, SyntheticImage,
};
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
pub use sealing::{RoundSealing, SealingKey};
pub use training::{RedrawnClass, TrainingRequest, TrainingStatus};

/// Media type of a prompt set in wire format.
pub const WIRE_MEDIA_TYPE: &str = "application/vnd.promptfed.prompts";
/// Media type of a trained model.
pub const MODEL_MEDIA_TYPE: &str = "application/octet-stream";
/// Media type of a [`Problem`] document (RFC 9457).
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";
/// Largest JSON message in bytes that a server reads.
pub const MAX_MESSAGE_BYTES: usize = 8 << 20;
