//! The CLIP filter on the command line.

use anyhow::Result;
use clap::Args as ClapArgs;
use promptfed_synth::ClipFilter;
use promptfed_synth::registry::Engines;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The CLIP model that judges images.
#[derive(ClapArgs, Clone, Default)]
pub(crate) struct ClipArgs {
    /// A CLIP model that judges whether images show their class: a folder in the layout of the transformers library
    #[arg(long, value_name = "DIR")]
    filter_clip: Option<PathBuf>,
}

impl ClipArgs {
    /// The model's folder.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.filter_clip.as_deref()
    }

    /// Gives a server the model, which is loaded once to see that it is one: a round finds out when its images are made.
    pub(crate) fn add_to(&self, engines: Engines) -> Result<Engines> {
        let Some(folder) = &self.filter_clip else {
            return Ok(engines);
        };
        ClipFilter::load(folder, ClipFilter::MIN_SCORE)?;
        Ok(engines.with_clip(folder))
    }
}

/// The CLIP model and how sure it must be; images of which it is not are drawn again.
#[derive(ClapArgs, Clone, Default)]
pub(crate) struct FilterArgs {
    #[command(flatten)]
    pub(crate) clip: ClipArgs,
    /// Least probability of an image's class among all classes of the label space, as --filter-clip sees them [default: 0.5]
    #[arg(long, value_name = "P", requires = "filter_clip", value_parser = probability)]
    min_score: Option<f32>,
}

impl FilterArgs {
    /// The least score, where there is a filter.
    pub(crate) fn min_score(&self) -> Option<f32> {
        let there = self.clip.filter_clip.is_some();
        there.then(|| self.min_score.unwrap_or(ClipFilter::MIN_SCORE))
    }

    /// The filter of a job.
    pub(crate) fn load(&self) -> Result<Option<Arc<ClipFilter>>> {
        let (Some(folder), Some(score)) = (&self.clip.filter_clip, self.min_score()) else {
            return Ok(None);
        };
        Ok(Some(Arc::new(ClipFilter::load(folder, score)?)))
    }
}

/// Reads a probability above 0.
pub(crate) fn probability(text: &str) -> Result<f32, String> {
    let number = text.trim().parse().ok();
    number
        .filter(|p| *p > 0.0 && *p <= 1.0)
        .ok_or_else(|| format!("`{text}` is no probability above 0 and at most 1"))
}
