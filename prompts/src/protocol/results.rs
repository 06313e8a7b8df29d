//! What a finished round hands back.

use serde::{Deserialize, Serialize};

use super::{FusionSummary, GuidancePlan, RedrawnClass, RoundId, TrainingPlan};
use crate::ContentHash;

/// Everything needed to judge a finished round and to make it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RoundResults {
    /// The round.
    pub round_id: RoundId,
    /// Which training of the round's images this is: 1 for the round's own, and for that of servers that knew no others.
    #[serde(default = "first")]
    pub training: u32,
    /// How the model was trained; without it as the round's plan says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<TrainingPlan>,
    /// The classes whose images were made again; the model was trained on those in place of the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redrawn: Vec<RedrawnClass>,
    /// Images that the operator has dropped and that the model was not trained on for that.
    #[serde(default)]
    pub dropped: u64,
    /// The submitted prompt sets, sorted by hash; a client is shown its own alone.
    pub prompt_sets: Vec<SubmittedSet>,
    /// The pooled prompts.
    pub pooled: PooledPrompts,
    /// The engines that were to make the images, in the plan's order, and what became of each; empty in results of servers that had one
    /// engine a round.
    #[serde(default)]
    pub sources: Vec<SourceSummary>,
    /// Images by quality; of those that were made first, where some were made again.
    pub images: ImageCounts,
    /// Images for each class, in the label space's order: accepted, and not dropped.
    pub per_class: Vec<u64>,
    /// What of them was chosen for training, where the plan says so; without it, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fusion: Option<FusionSummary>,
    /// The trained model.
    pub model: ModelSummary,
    /// One point for each epoch.
    pub curve: Vec<CurvePoint>,
    /// The epoch whose weights the model holds, counted from 1.
    pub selected_epoch: u32,
    /// Why that epoch: `best validation: ...`, or `last: ...` where too few images could be held out; empty from servers that did not say.
    #[serde(default)]
    pub selection: String,
    /// Accuracy of the selected epoch on the held-out synthetic images, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_accuracy: Option<f64>,
    /// What had no effect or was left out, in words.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Wall time of each stage.
    pub seconds: StageSeconds,
    /// Versions of the software.
    pub versions: Versions,
    /// The seeds used.
    pub seeds: Seeds,
}

/// The round's own training.
fn first() -> u32 {
    1
}

/// One submitted prompt set, without the client's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SubmittedSet {
    /// The hash on its receipt.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub hash: ContentHash,
    /// Number of distinct prompts.
    pub prompts: u64,
    /// Size of what was sent in bytes.
    pub bytes: u64,
}

/// The pooled prompts of all clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PooledPrompts {
    /// Hash of the pooled set's canonical JSON.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub hash: ContentHash,
    /// Number of distinct prompts.
    pub prompts: u64,
}

/// An engine of a round and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SourceSummary {
    /// The name by which the plan asks for it.
    pub name: String,
    /// What became of it.
    pub outcome: SourceOutcome,
    /// What it is; without it, it could not be loaded or reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineSummary>,
    /// How it was sampled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<SamplingSummary>,
    /// Its images by quality; of one that was set aside those that it had made.
    pub images: ImageCounts,
}

/// What became of an engine of a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SourceOutcome {
    /// It made its images.
    Done,
    /// It failed, and the round went on with what it had made till then and with the others.
    SetAside {
        /// Why.
        reason: String,
    },
}

/// The engine that made the images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EngineSummary {
    /// Its name.
    pub name: String,
    /// Version of its arithmetic: another version may make other images of the same seeds.
    pub version: String,
    /// Hash of its weights, configuration and tokenizer.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub weights_hash: ContentHash,
    /// Side of its images in pixels.
    pub image_size: u32,
}

/// How images were sampled: as the plan says, and by the engine's own settings where the plan leaves them open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SamplingSummary {
    /// The sampler's name.
    pub sampler: String,
    /// Denoising steps for each image.
    pub steps: u32,
    /// Classifier-free guidance.
    pub guidance: GuidancePlan,
    /// The CLIP filter that the images passed, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<FilterSummary>,
}

/// A CLIP filter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FilterSummary {
    /// Hash of the CLIP model's weights, configuration, preprocessing and tokenizer.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub clip_hash: ContentHash,
    /// Least probability of an image's class among all classes.
    pub min_score: f64,
}

/// How many images were planned and what became of them. A faulty image is drawn again from its next seed a few times, so
/// more draws than images can be thrown away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImageCounts {
    /// Images planned.
    pub planned: u64,
    /// Images that training can use.
    pub accepted: u64,
    /// Images given up after the last attempt.
    pub rejected: u64,
    /// Draws thrown away because a value was not finite.
    pub non_finite: u64,
    /// Draws thrown away because every pixel was the same, as in a black image.
    pub constant: u64,
    /// Draws thrown away because CLIP did not see their class in them.
    #[serde(default)]
    pub off_class: u64,
    /// Draws thrown away because an earlier image has the same pixels.
    pub duplicate: u64,
}

impl std::ops::AddAssign for ImageCounts {
    fn add_assign(&mut self, other: Self) {
        self.planned += other.planned;
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.non_finite += other.non_finite;
        self.constant += other.constant;
        self.off_class += other.off_class;
        self.duplicate += other.duplicate;
    }
}

/// The trained central model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelSummary {
    /// blake3 hash of the safetensors file.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub hash: ContentHash,
    /// Its size in bytes.
    pub bytes: u64,
    /// Where the server gives it, a path relative to the server's address.
    pub path: String,
    /// Trainable parameters.
    pub parameters: u64,
}

/// One epoch of training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CurvePoint {
    /// The epoch, counted from 1.
    pub epoch: u32,
    /// Learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// Mean training loss: cross-entropy in nats.
    pub train_loss: f64,
    /// Accuracy on the augmented training images, 0 to 1.
    pub train_accuracy: f64,
    /// Accuracy on the held-out synthetic images, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_accuracy: Option<f64>,
    /// The mean of the classes' accuracies on the held-out synthetic images, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_balanced_accuracy: Option<f64>,
}

/// Wall time of each stage in seconds; a stage that a restart interrupted counts from the restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StageSeconds {
    /// Reading and pooling the submissions.
    pub pooling: f64,
    /// Making images.
    pub synthesis: f64,
    /// Choosing and weighing images of several sources.
    #[serde(default)]
    pub fusing: f64,
    /// Reading the images back.
    pub loading: f64,
    /// Training.
    pub training: f64,
}

/// Versions of the software that made the results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Versions {
    /// The server.
    pub server: String,
    /// The prompt-set wire format.
    pub wire: u16,
}

/// The seeds of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Seeds {
    /// Of the synthesis; each image's seed is derived from it.
    pub synthesis: u64,
    /// Of the training: initial weights, order, augmentation and validation split.
    pub training: u64,
}

/// What the synthetic set's manifest holds, without the images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SyntheticSummary {
    /// The round.
    pub round_id: RoundId,
    /// The engines that were to make the images, in the plan's order, and what became of each; empty in results of servers that had one
    /// engine a round.
    #[serde(default)]
    pub sources: Vec<SourceSummary>,
    /// Images by quality.
    pub images: ImageCounts,
    /// Images accepted for each class, in the label space's order.
    pub per_class: Vec<u64>,
}
