//! A classifier's file, as commands read it.

use crate::exit::BadInput;
use anyhow::{Context as _, Result};
use promptfed_data::Fit;
use promptfed_learn::Classifier;
use promptfed_prompts::ContentHash;
use std::path::Path;

/// The longest model file that is read.
const MAX_BYTES: u64 = 4 << 30;

/// A classifier with what its file says of it.
pub(super) struct Model {
    pub(super) classifier: Classifier,
    /// Of the file.
    pub(super) hash: ContentHash,
    /// How its training made pictures square.
    fit: Fit,
}

impl Model {
    /// Reads the file of `promptfed train` or of a round.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let file = promptfed_files::read(path, MAX_BYTES)?;
        let classifier = Classifier::from_safetensors(&file)
            .map_err(|error| anyhow::Error::new(error).context(BadInput))
            .with_context(|| path.display().to_string())?;
        Ok(Self {
            hash: ContentHash::of(&file),
            // Models of earlier versions do not say; they were trained on the middle.
            fit: classifier.recipe().map_or(Fit::Crop, |recipe| recipe.fit),
            classifier,
        })
    }

    /// How pictures are made square: as asked, with a warning where training did otherwise, or as in training.
    pub(super) fn fit(&self, asked: Option<Fit>) -> Fit {
        let fit = asked.unwrap_or(self.fit);
        if fit != self.fit {
            eprintln!(
                "warning: the model was trained with --fit {} and is asked with {fit}",
                self.fit
            );
        }
        fit
    }
}
