//! A seed's clients, and what its methods see.

use crate::Result;
use crate::experiment::queue::Queue;
use crate::federation::Federation;
use crate::methods::Method;
use promptfed_prompts::ContentHash;
use std::sync::Arc;

/// A seed's federation with the hash of what its methods see.
pub(super) struct Dealt {
    pub(super) federation: Arc<Federation>,
    data: String,
    with_public: Option<String>,
}

impl Dealt {
    /// Deals a seed's federation.
    pub(super) fn of(queue: &Queue<'_>, seed: u64) -> Result<Self> {
        let reading = queue
            .observer
            .begin(&format!("seed {seed}: reading images"), 0);
        let federation = Arc::new(queue.experiment.federation(seed, queue.resources)?);
        drop(reading);
        let data = federation.identity(queue.test).to_string();
        let public = federation.public.as_ref();
        let with_public =
            public.map(|public| format!("{data} {}", ContentHash::of(public.hash().as_bytes())));
        Ok(Self {
            federation,
            data,
            with_public,
        })
    }

    /// The hash of what a method sees.
    pub(super) fn seen_by(&self, method: &dyn Method) -> String {
        let with_public = self.with_public.as_ref();
        let seen = with_public.filter(|_| method.looks_at_public());
        let seen = seen.unwrap_or(&self.data);
        if method.reads_captions() {
            let captions = self.federation.public_captions().hash();
            return format!("{seen} {captions}");
        }
        seen.clone()
    }
}
