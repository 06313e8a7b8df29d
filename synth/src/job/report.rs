//! What a job says while it runs and when it is done.

use std::time::Duration;

use serde::Serialize;

use super::stretches::Stretches;

/// How far a job is.
#[derive(Clone, Debug, PartialEq)]
pub struct JobProgress {
    /// Images of the plan that are done, those of earlier runs among them.
    pub done: u64,
    /// Images this run will have done at its end.
    pub total: u64,
    /// Images per second since this run began.
    pub images_per_second: f64,
    /// The whole plan, and where in it images are done.
    pub stretches: Stretches,
}

/// What a job's output folder holds after a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobReport {
    /// Images the whole plan asks for.
    pub planned: u64,
    /// Images of the plan that are done, accepted or rejected, in all runs together.
    pub done: u64,
    /// Images in the output.
    pub accepted: u64,
    /// Images given up after the last attempt.
    pub rejected: u64,
    /// Draws beyond the first, over all images.
    pub redrawn: u64,
    /// Draws thrown away because a value was not a finite number.
    pub non_finite: u64,
    /// Images whose last draw was decoded again in f32, because the engine's own number format overflowed.
    pub upcast: u64,
    /// Images of whose prompt, or negative prompt, the engine did not read the end.
    pub cut: u64,
    /// Draws thrown away because every pixel was the same.
    pub constant: u64,
    /// Draws thrown away because CLIP did not see their class in them.
    pub off_class: u64,
    /// Draws thrown away because an earlier image has the same pixels.
    pub duplicate: u64,
    /// Images that earlier runs had done.
    pub resumed: u64,
    /// What of the prompts has no effect, or is not read, in words ([`notes`](super::notes)).
    pub notes: Vec<String>,
    /// Images of earlier runs that were missing or damaged, and were made again.
    pub mended: u64,
    /// Those among them whose pixels are not those of the first time, because the engine is not reproducible.
    pub changed: u64,
    /// Whether the run was stopped by its cancellation flag.
    pub cancelled: bool,
    /// Wall time of this run, without those that it goes on from.
    pub elapsed: Duration,
}
