//! Captions by BLIP.

use std::fmt;
use std::path::{Path, PathBuf};

use promptfed_prompts::Caption;
use promptfed_vision::Blip;

use super::{CaptionInput, CaptionProblem, Captioner};
use crate::Result;

/// Writes what BLIP sees in the picture: `two dogs in the snow` (Li et al. 2022).
///
/// Such a caption can tell anything that the picture shows; read the preview before anything is sent.
pub struct BlipCaptioner {
    folder: PathBuf,
    model: Blip,
}

impl BlipCaptioner {
    /// The captioner's name.
    pub const NAME: &str = "blip";

    /// Loads the model from a folder in the layout of the transformers library, such as `Salesforce/blip-image-captioning-base`.
    ///
    /// # Errors
    /// A file that is missing or does not fit.
    pub fn load(folder: &Path) -> Result<Self> {
        Ok(Self {
            folder: folder.to_owned(),
            model: Blip::load(folder)?,
        })
    }
}

impl fmt::Debug for BlipCaptioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlipCaptioner({})", self.folder.display())
    }
}

impl Captioner for BlipCaptioner {
    fn name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn needs_pixels(&self) -> bool {
        true
    }

    fn caption(&self, image: &CaptionInput<'_>) -> Result<Option<Caption>, CaptionProblem> {
        let pixels = image.image.ok_or_else(|| CaptionProblem::NoPixels {
            captioner: self.name(),
        })?;
        let text = self
            .model
            .caption(pixels)
            .map_err(|e| CaptionProblem::Model {
                reason: e.to_string(),
            })?;
        if text.is_empty() {
            return Ok(None);
        }
        Ok(Some(Caption::try_from(text)?))
    }
}
