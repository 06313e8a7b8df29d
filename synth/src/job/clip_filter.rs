//! Which images show their class, as CLIP sees them (Radford et al. 2021; as a filter of synthetic images: He et al. 2023,
//! section 3.2).

use std::fmt;
use std::path::Path;

use candle_core::Tensor;
use promptfed_prompts::{ClassIndex, ContentHash, LabelSpace};
use promptfed_vision::{Clip, Pixels};
use serde::{Deserialize, Serialize};

use crate::hash::hash_files;
use crate::{Error, Result};

/// A CLIP model and how sure it must be of an image's class.
pub struct ClipFilter {
    clip: Clip,
    rule: FilterRule,
}

/// What is recorded of a filter: with it, the same images pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterRule {
    /// Hash of the CLIP model's weights, configuration, preprocessing and tokenizer.
    pub clip_hash: ContentHash,
    /// What CLIP compares an image with, for every class; `{}` stands for the class.
    pub template: String,
    /// Least probability of an image's own class among all classes, above 0 and at most 1.
    pub min_score: f32,
}

/// Radford et al. 2021, section 3.1.4.
const TEMPLATE: &str = "a photo of a {}";

impl ClipFilter {
    /// The least probability of an image's class unless told: more than all other classes together.
    pub const MIN_SCORE: f32 = 0.5;

    /// Loads a CLIP model from a folder in the layout of the transformers library. It computes in f32 whatever the precision of
    /// the generator, one image at a time.
    ///
    /// # Errors
    /// A folder that holds no CLIP model, or a `min_score` that is not above 0 and at most 1.
    pub fn load(folder: &Path, min_score: f32) -> Result<Self> {
        if !(min_score > 0.0 && min_score <= 1.0) {
            return Err(Error::Spec(format!(
                "the least CLIP score is {min_score}; it is a probability above 0 and at most 1"
            )));
        }
        let clip = Clip::load(folder)?;
        let rule = FilterRule {
            clip_hash: hash_files(clip.files())?,
            template: TEMPLATE.into(),
            min_score,
        };
        Ok(Self { clip, rule })
    }

    /// What is recorded of it.
    pub fn rule(&self) -> &FilterRule {
        &self.rule
    }

    /// Makes the filter ready for the classes of a job.
    pub(super) fn for_classes(&self, label_space: &LabelSpace) -> Result<Judge<'_>> {
        let classes = 0..label_space.len() as u32;
        let texts: Vec<String> = classes
            .filter_map(|class| label_space.prompt_name(ClassIndex::new(class)))
            .map(|name| self.rule.template.replace("{}", name))
            .collect();
        if texts.len() < 2 {
            return Err(Error::Spec(
                "a CLIP filter tells classes apart and the job has only one; give prompts of several classes, or leave it out"
                    .into(),
            ));
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        Ok(Judge {
            texts: self.clip.text_features(&texts)?,
            filter: self,
        })
    }
}

impl fmt::Debug for ClipFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClipFilter").field(&self.rule).finish()
    }
}

/// A filter with the classes of a job.
pub(super) struct Judge<'a> {
    filter: &'a ClipFilter,
    /// [classes, d]
    texts: Tensor,
}

impl Judge<'_> {
    /// The probability of `class` among all classes, for an image of 8-bit RGB values.
    pub(super) fn score(
        &self,
        class: ClassIndex,
        height: u32,
        width: u32,
        pixels: &[u8],
    ) -> Result<f32> {
        let image = Pixels {
            height,
            width,
            values: pixels,
        };
        let scores = self.filter.clip.scores(image, &self.texts)?;
        Ok(scores.get(class.get() as usize).copied().unwrap_or(0.0))
    }

    /// Whether an image of this score passes.
    pub(super) fn passes(&self, score: f32) -> bool {
        score >= self.filter.rule.min_score
    }
}
