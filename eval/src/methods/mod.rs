//! The methods that are compared, one file each.

mod centralised;
mod chance;
mod fedavg;
mod fgl;

pub use centralised::Centralised;
pub use chance::Chance;
pub use fedavg::FedAvg;
pub use fgl::{Fgl, FglConfig, LocalServer, SILENT_CLIENTS};

use crate::comparison::{MethodRun, SubmittedPrompts};
use crate::observer::Observer;
use crate::{Federation, Result};
use promptfed_data::LabelledImages;
use promptfed_learn::Recipe;

/// A way to get one central model out of a federation.
pub trait Method {
    /// Short name, unique among the compared methods: `fgl`, `fused`, `fedavg`, ...
    fn name(&self) -> &'static str;

    /// One sentence for the report: what is shared and what the model is trained on.
    fn description(&self) -> String;

    /// Runs the method once.
    ///
    /// # Errors
    /// If training, synthesis or communication fails.
    fn run(&self, context: &RunContext<'_>) -> Result<Outcome>;
}

/// What a run may use. Nothing may be chosen by the federation's test images.
pub struct RunContext<'a> {
    /// The clients and the test images.
    pub federation: &'a Federation,
    /// The classifier and its training, the same for every method; each sets its own epochs, schedule and seed.
    pub recipe: &'a Recipe,
    /// The run's seed; a method derives all of its seeds from it.
    pub seed: u64,
    /// Told what the run is doing.
    pub observer: &'a dyn Observer,
}

/// What a run leaves behind.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Measures, bytes, curves.
    pub run: MethodRun,
    /// What clients sent, where they sent prompts.
    pub prompts: Vec<SubmittedPrompts>,
    /// The synthetic images the model was trained on, where there are any.
    pub synthetic: Option<LabelledImages>,
    /// Name and value of further hashes and versions that the run depends on.
    pub provenance: Vec<(String, String)>,
    /// What had no effect, was not read or was left out, in words.
    pub warnings: Vec<String>,
}

impl Outcome {
    fn of(run: MethodRun) -> Self {
        Self {
            run,
            prompts: Vec::new(),
            synthetic: None,
            provenance: Vec::new(),
            warnings: Vec::new(),
        }
    }
}
