//! How far a round is.

use crate::observer::{Observer, Task};
use promptfed_prompts::protocol::{RoundState, RoundStatus};

/// Shows a round's stages as tasks.
pub(super) struct Shown<'a> {
    method: &'a str,
    observer: &'a dyn Observer,
    task: Option<(String, Box<dyn Task>)>,
}

impl<'a> Shown<'a> {
    pub(super) fn new(method: &'a str, observer: &'a dyn Observer) -> Self {
        Self {
            method,
            observer,
            task: None,
        }
    }

    pub(super) fn update(&mut self, status: &RoundStatus) {
        for warning in &status.warnings {
            self.observer.warn(warning);
        }
        let (stage, done, total) = match &status.state {
            RoundState::Synthesising { done, total } => ("synthesising images", *done, *total),
            RoundState::Fusing { stage, done, total } => (stage.as_str(), *done, *total),
            RoundState::Training { epoch, epochs } => (
                "training on synthetic images",
                u64::from(*epoch),
                u64::from(*epochs),
            ),
            _ => return,
        };
        let stage = format!("{}: {stage}", self.method);
        if self.task.as_ref().is_none_or(|(name, _)| *name != stage) {
            // The old task ends before the new one begins.
            self.task = None;
            let task = self.observer.begin(&stage, total);
            self.task = Some((stage, task));
        }
        if let Some((_, task)) = &self.task {
            task.set(done);
        }
    }
}
