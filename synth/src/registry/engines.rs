//! The engines that a program has, and the CLIP model that judges their images.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::prepared::Prepared;
use crate::engines::pocket::Pocket;
use crate::{ClipFilter, Error, Generator, Result};

type Load = dyn Fn(&Arc<AtomicBool>) -> Result<Box<dyn Generator>> + Send + Sync;

/// Engines by name, and a CLIP model. Each is loaded when work needs it, on the thread of the work.
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

    /// Adds an engine under a name.
    #[must_use]
    pub fn with(
        mut self,
        name: impl Into<String>,
        load: impl Fn() -> Result<Box<dyn Generator>> + Send + Sync + 'static,
    ) -> Self {
        self.by_name.insert(name.into(), Arc::new(move |_| load()));
        self
    }

    /// Adds an engine under its backend's name.
    #[must_use]
    pub fn with_prepared(mut self, engine: Prepared) -> Self {
        let name = engine.backend().name().to_owned();
        self.by_name
            .insert(name, Arc::new(move |cancel| engine.load(cancel)));
        self
    }

    /// Adds the `pocket` engine with the weights in `folder`.
    #[must_use]
    pub fn with_pocket(self, folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        self.with("pocket", move || Ok(Box::new(Pocket::load(&folder)?)))
    }

    /// Adds the CLIP model in `folder`, in the layout of the transformers library, for work whose images must show their class.
    #[must_use]
    pub fn with_clip(mut self, folder: impl Into<PathBuf>) -> Self {
        self.clip = Some(folder.into());
        self
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Fails when there is no engine of this name.
    ///
    /// # Errors
    /// [`Error::UnknownEngine`].
    pub fn check(&self, name: &str) -> Result<()> {
        self.find(name).map(drop)
    }

    /// Fails when there is no CLIP model.
    ///
    /// # Errors
    /// [`Error::NoClip`].
    pub fn check_clip(&self) -> Result<()> {
        self.clip().map(drop)
    }

    /// Loads an engine. Setting `cancel` later ends whatever it waits for.
    ///
    /// # Errors
    /// An unknown name, and whatever loading meets.
    pub fn load(&self, name: &str, cancel: &Arc<AtomicBool>) -> Result<Box<dyn Generator>> {
        self.find(name)?(cancel)
    }

    /// Loads the CLIP model as a filter.
    ///
    /// # Errors
    /// No CLIP model, and as [`ClipFilter::load`].
    pub fn load_filter(&self, min_score: f32) -> Result<ClipFilter> {
        ClipFilter::load(self.clip()?, min_score)
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
                    names if names.is_empty() => "is none".to_owned(),
                    names => format!("are {names}"),
                },
            })
    }
}

impl fmt::Debug for Engines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}
