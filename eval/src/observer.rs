//! How long work tells what it is doing, without knowing who shows it.

/// Receives the tasks of a comparison as they begin.
pub trait Observer: Sync {
    /// A task of `total` steps begins; it ends when the returned value is dropped.
    fn begin(&self, name: &str, total: u64) -> Box<dyn Task>;
    /// Something about the data that a person should know, as a sentence.
    fn note(&self, text: &str);
    /// What has no effect or is not read, as a sentence; told once, however often it comes.
    fn warn(&self, text: &str);
}

/// One task under way.
pub trait Task: Send + Sync {
    /// `done` of the task's steps are finished.
    fn set(&self, done: u64);
    /// A short remark on the latest state, e.g. `loss 1.32`.
    fn remark(&self, text: &str);
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn begin(&self, _: &str, _: u64) -> Box<dyn Task> {
        Box::new(Self)
    }

    fn note(&self, _: &str) {}
    fn warn(&self, _: &str) {}
}

impl Task for Silent {
    fn set(&self, _: u64) {}
    fn remark(&self, _: &str) {}
}
