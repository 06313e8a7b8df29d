//! What a job is asked to make.

use std::sync::Arc;
use std::time::Duration;

use promptfed_prompts::protocol::{GuidancePlan, decimal};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::plan::PlannedImage;
use super::prompts::JobPrompt;
use super::{ClipFilter, PromptSource};
use crate::service::Retry;
use crate::{Error, Generator, ImageRequest, ImageSeed, Result, Sampler};

/// A whole synthesis job.
#[derive(Clone, Debug)]
pub struct JobSpec {
    /// Where the prompts come from.
    pub prompts: PromptSource,
    /// How many images are made of them.
    pub images: ImageBudget,
    /// Integration steps per image, 1 or more.
    pub steps: u32,
    /// Integration method.
    pub sampler: Sampler,
    /// Guidance scale, 1 (none) to 50.
    pub guidance: Guidance,
    /// Seed of the job; every image's own seed is derived from it.
    pub seed: u64,
    /// Form of the output.
    pub output: OutputFormat,
    /// Images between two writes to disk, 1 or more; changes memory and speed, never the images.
    pub batch: usize,
    /// Draws per image before it is rejected as faulty, 1 or more.
    pub attempts: u32,
    /// The draw that every image begins with: 0, or, to make a class's images again, one that none of them came to before.
    pub first_draw: u32,
    /// Which images pass; a draw that does not is made again like a faulty one.
    pub filter: Option<Arc<ClipFilter>>,
    /// Stops after this many images of the plan, counted from its first; the next run may go further.
    pub limit: Option<u64>,
    /// Whether each picture holds its [`GenerationRecord`](crate::GenerationRecord), the prompt with it; never changes the pixels.
    pub records: bool,
    /// How often an engine is asked for a batch where it fails in a way that may pass; never changes the images.
    pub retry: Retry,
}

impl JobSpec {
    /// A job with an engine's own settings: 1 image per prompt, seed 0, image folder, batches of 16 per core, up to 4 draws,
    /// no filter, no records in the pictures, up to 3 tries 2 to 30 s apart of what may pass.
    pub fn new(prompts: PromptSource, defaults: &crate::SamplingDefaults) -> Self {
        Self {
            prompts,
            images: ImageBudget::PerPrompt(1),
            steps: defaults.steps,
            sampler: defaults.sampler,
            guidance: Guidance::Fixed(defaults.guidance),
            seed: 0,
            output: OutputFormat::Folder,
            batch: 16 * std::thread::available_parallelism().map_or(4, usize::from),
            attempts: 4,
            first_draw: 0,
            filter: None,
            limit: None,
            records: false,
            retry: Retry {
                attempts: 3,
                first_pause: Duration::from_secs(2),
                longest_pause: Duration::from_secs(30),
            },
        }
    }

    /// What an engine is asked for one image of a prompt.
    pub(super) fn request(
        &self,
        prompt: &JobPrompt,
        seed: ImageSeed,
        guidance: f32,
    ) -> ImageRequest {
        ImageRequest {
            prompt: prompt.text.positive.clone(),
            negative: prompt.text.negative.clone(),
            seed,
            steps: self.steps,
            guidance,
            sampler: self.sampler,
        }
    }

    /// Whether negative prompts change this job's images.
    pub(super) fn heeds_negatives(&self, engine: &dyn Generator) -> bool {
        engine.takes_negatives() && !self.guidance.is_off()
    }

    /// Asks the engine about the settings, with the first prompt and the ends of the guidance.
    pub(super) fn check_engine(&self, engine: &dyn Generator, first: &JobPrompt) -> Result<()> {
        let seed = PlannedImage::new(0, first.clone()).seed(self.seed);
        let ends = match self.guidance {
            Guidance::Fixed(guidance) => [guidance; 2],
            Guidance::Uniform { low, high } => [low, high],
        };
        let requests = ends.map(|guidance| self.request(first, seed, guidance));
        let fault = requests.iter().find_map(|request| engine.fault(request));
        fault.map_or(Ok(()), |reason| Err(Error::Request { index: 0, reason }))
    }

    /// Checks the numbers before any work is done.
    pub(crate) fn validate(&self) -> Result<()> {
        let fault = if self.steps == 0 {
            Some("steps is 0; ask for 1 or more".to_owned())
        } else if self.batch == 0 {
            Some("batch is 0; ask for 1 or more".to_owned())
        } else if self.attempts == 0 || self.retry.attempts == 0 {
            Some("attempts is 0; ask for 1 or more".to_owned())
        } else if self.limit == Some(0) {
            Some("limit is 0; ask for 1 or more".to_owned())
        } else if matches!(self.images, ImageBudget::PerPrompt(0)) {
            Some("0 images per prompt; ask for 1 or more".to_owned())
        } else if matches!(self.images, ImageBudget::Total { images: 0, .. }) {
            Some("0 images in all; ask for 1 or more".to_owned())
        } else {
            self.guidance.fault()
        };
        fault.map_or(Ok(()), |reason| Err(Error::Spec(reason)))
    }
}

/// How many images a job makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageBudget {
    /// The same number of images for every prompt.
    PerPrompt(u32),
    /// This many images in all.
    Total {
        /// Images in all.
        images: u64,
        /// How they are shared out among the prompts.
        spread: Spread,
    },
}

/// How a total number of images is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    /// In proportion to the counts the clients released; a prompt without a count counts as one private image.
    ByCount,
    /// The same number for every class that has prompts, shared evenly among the prompts of the class.
    ClassBalanced,
}

/// The guidance scale of a job's images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guidance {
    /// The same for every image.
    Fixed(f32),
    /// Drawn for each image from its own seed, uniform over `low..=high`.
    Uniform {
        /// Least guidance.
        low: f32,
        /// Greatest guidance.
        high: f32,
    },
}

impl Guidance {
    /// The guidance of the image with this seed.
    pub fn draw(self, seed: &ImageSeed) -> f32 {
        match self {
            Guidance::Fixed(guidance) => guidance,
            Guidance::Uniform { low, high } => seed.stream("guidance").random_range(low..=high),
        }
    }

    /// Whether no image is guided, so that negative prompts have no effect.
    pub fn is_off(self) -> bool {
        GuidancePlan::from(self).is_off()
    }

    fn fault(self) -> Option<String> {
        let fault = GuidancePlan::from(self).validate().err()?;
        let reason = match self {
            Self::Fixed(scale) => format!("guidance is {scale}; give {}", fault.rule()),
            Self::Uniform { low, high } => format!(
                "guidance is drawn from {low} to {high}; give the lower first, each {}",
                fault.rule()
            ),
        };
        Some(reason)
    }
}

impl From<GuidancePlan> for Guidance {
    fn from(plan: GuidancePlan) -> Self {
        match plan {
            GuidancePlan::Fixed(scale) => Self::Fixed(scale as f32),
            GuidancePlan::Uniform { low, high } => Self::Uniform {
                low: low as f32,
                high: high as f32,
            },
        }
    }
}

impl From<Guidance> for GuidancePlan {
    fn from(guidance: Guidance) -> Self {
        match guidance {
            Guidance::Fixed(scale) => Self::Fixed(decimal(scale)),
            Guidance::Uniform { low, high } => Self::Uniform {
                low: decimal(low),
                high: decimal(high),
            },
        }
    }
}

/// The form in which a job's images are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputFormat {
    /// `images/<class>/<index>.png`
    Folder,
    /// `data/train-<shard>.parquet` with the hub's image and label columns.
    Parquet,
}
