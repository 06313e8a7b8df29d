//! The text-to-image engines that a server can use.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use promptfed_synth::Generator;
use promptfed_synth::engines::pocket::Pocket;

use crate::{Error, Result};

type Load = dyn Fn() -> promptfed_synth::Result<Box<dyn Generator>> + Send + Sync;

/// Engines by name. Each is loaded when a round needs it, on the job's thread.
#[derive(Clone, Default)]
pub struct Engines(BTreeMap<String, Arc<Load>>);

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
        self.0.insert(name.into(), Arc::new(load));
        self
    }

    /// Adds the `pocket` engine with the weights in `folder`.
    #[must_use]
    pub fn with_pocket(self, folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        self.with("pocket", move || Ok(Box::new(Pocket::load(&folder)?)))
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Fails when there is no engine of this name.
    pub(crate) fn check(&self, name: &str) -> Result<()> {
        self.find(name).map(|_| ())
    }

    pub(crate) fn load(&self, name: &str) -> Result<Box<dyn Generator>> {
        Ok(self.find(name)?()?)
    }

    fn find(&self, name: &str) -> Result<&Load> {
        self.0
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
