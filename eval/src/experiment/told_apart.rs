//! Tasks of runs that are under way at the same time.

use crate::observer::{Observer, Task};

/// Tells tasks of runs apart that are under way at the same time.
pub(super) struct ToldApart<'a> {
    pub(super) inner: &'a dyn Observer,
    pub(super) seed: u64,
}

impl Observer for ToldApart<'_> {
    fn begin(&self, name: &str, total: u64) -> Box<dyn Task> {
        self.inner
            .begin(&format!("{name}, seed {}", self.seed), total)
    }

    fn note(&self, text: &str) {
        self.inner.note(text);
    }

    fn warn(&self, text: &str) {
        self.inner.warn(text);
    }
}
