//! The text-to-image engines that a server can use, and the CLIP model that judges their images.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use promptfed_prompts::protocol::SynthesisPlan;
use promptfed_synth::engines::pocket::Pocket;
use promptfed_synth::{ClipFilter, Generator};

use crate::{Error, Result};

type Load = dyn Fn() -> promptfed_synth::Result<Box<dyn Generator>> + Send + Sync;

/// Engines by name, and a CLIP model. Each is loaded when a round needs it, on the job's thread.
#[derive(Clone, Default)]
pub struct Engines {
    by_name: BTreeMap<String, Arc<Load>>,
    clip: Option<PathBuf>,
}

impl Engines {
    /// No engine.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an engine under the name by which rounds ask for it.
    #[must_use]
    pub fn with(
        mut self,
        name: impl Into<String>,
        load: impl Fn() -> promptfed_synth::Result<Box<dyn Generator>> + Send + Sync + 'static,
    ) -> Self {
        self.by_name.insert(name.into(), Arc::new(load));
        self
    }

    /// Adds the `pocket` engine with the weights in `folder`.
    #[must_use]
    pub fn with_pocket(self, folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        self.with("pocket", move || Ok(Box::new(Pocket::load(&folder)?)))
    }

    /// Adds the CLIP model in `folder`, in the layout of the transformers library, for the rounds whose images must show
    /// their class.
    #[must_use]
    pub fn with_clip(mut self, folder: impl Into<PathBuf>) -> Self {
        self.clip = Some(folder.into());
        self
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Fails when the plan asks for an engine or a CLIP model that is not there.
    pub(crate) fn check(&self, plan: &SynthesisPlan) -> Result<()> {
        self.find(&plan.engine)?;
        plan.min_clip_score
            .map_or(Ok(()), |_| self.clip().map(drop))
    }

    pub(crate) fn load(&self, name: &str) -> Result<Box<dyn Generator>> {
        Ok(self.find(name)?()?)
    }

    /// The filter that the plan asks for.
    pub(crate) fn load_filter(&self, plan: &SynthesisPlan) -> Result<Option<ClipFilter>> {
        let load = |score| Ok(ClipFilter::load(self.clip()?, score as f32)?);
        plan.min_clip_score.map(load).transpose()
    }

    fn clip(&self) -> Result<&Path> {
        self.clip.as_deref().ok_or(Error::NoClip)
    }

    fn find(&self, name: &str) -> Result<&Load> {
        self.by_name
            .get(name)
            .map(Arc::as_ref)
            .ok_or_else(|| Error::UnknownEngine {
                name: name.to_owned(),
                known: match self.names().collect::<Vec<_>>().join(", ") {
                    names if names.is_empty() => "none".to_owned(),
                    names => names,
                },
            })
    }
}

impl fmt::Debug for Engines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}
