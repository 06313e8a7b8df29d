//! The engines that a program has, the CLIP model that judges their images, and the network that looks at them for a fusion.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use promptfed_vision::EfficientNet;

use super::prepared::Prepared;
use crate::engines::pocket::Pocket;
use crate::{ClipFilter, Error, Generator, Result};

type Load = dyn Fn(&Arc<AtomicBool>) -> Result<Box<dyn Generator>> + Send + Sync;

#[derive(Clone)]
struct Entry {
    load: Arc<Load>,
    is_service: bool,
    batch: Option<usize>,
}

/// Engines by name, a CLIP model and EfficientNet-lite0. Each is loaded when work needs it, on the thread of the work.
#[derive(Clone, Default)]
pub struct Engines {
    by_name: BTreeMap<String, Entry>,
    clip: Option<PathBuf>,
    network: Option<PathBuf>,
}

impl Engines {
    /// No engine.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an engine under a name, in place of one that has it. `load` is called when a job needs it, and its error is the job's.
    #[must_use]
    pub fn with(
        mut self,
        name: impl Into<String>,
        load: impl Fn() -> Result<Box<dyn Generator>> + Send + Sync + 'static,
    ) -> Self {
        let entry = Entry {
            load: Arc::new(move |_| load()),
            is_service: false,
            batch: None,
        };
        self.by_name.insert(name.into(), entry);
        self
    }

    /// Adds an engine under its backend's name.
    #[must_use]
    pub fn with_prepared(mut self, engine: Prepared) -> Self {
        let name = engine.backend().name().to_owned();
        let entry = Entry {
            is_service: engine.backend().engine().is_service(),
            batch: engine.given_batch(),
            load: Arc::new(move |cancel| engine.load(cancel)),
        };
        self.by_name.insert(name, entry);
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

    /// Adds the EfficientNet-lite0 in `folder`, for fusions that look at images by it.
    #[must_use]
    pub fn with_network(mut self, folder: impl Into<PathBuf>) -> Self {
        self.network = Some(folder.into());
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
        (self.find(name)?.load)(cancel)
    }

    /// Images between two writes to disk, where the engine's settings say it.
    pub fn batch(&self, name: &str) -> Option<usize> {
        self.by_name.get(name)?.batch
    }

    /// Whether another machine, or another program, is behind an engine.
    pub fn is_service(&self, name: &str) -> bool {
        self.by_name.get(name).is_some_and(|entry| entry.is_service)
    }

    /// Loads the CLIP model as a filter.
    ///
    /// # Errors
    /// No CLIP model, and as [`ClipFilter::load`].
    pub fn load_filter(&self, min_score: f32) -> Result<ClipFilter> {
        ClipFilter::load(self.clip()?, min_score)
    }

    /// Fails when there is no EfficientNet-lite0.
    ///
    /// # Errors
    /// [`Error::NoNetwork`].
    pub fn check_network(&self) -> Result<()> {
        self.network().map(drop)
    }

    /// Loads EfficientNet-lite0.
    ///
    /// # Errors
    /// [`Error::NoNetwork`], and as [`EfficientNet::load`].
    pub fn load_network(&self) -> Result<EfficientNet> {
        Ok(EfficientNet::load(self.network()?)?)
    }

    fn network(&self) -> Result<&Path> {
        self.network.as_deref().ok_or(Error::NoNetwork)
    }

    fn clip(&self) -> Result<&Path> {
        self.clip.as_deref().ok_or(Error::NoClip)
    }

    fn find(&self, name: &str) -> Result<&Entry> {
        self.by_name.get(name).ok_or_else(|| Error::UnknownEngine {
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
