//! What runs come to, put together in their order.

use crate::comparison::{Failure, MethodResult, SubmittedPrompts};
use crate::journal::{KeptImages, KeptPredictions, Outcome};
use crate::methods::{Card, Method};
use crate::predictions::RunPredictions;
use promptfed_data::LabelledImages;

/// What the cells of a comparison come to.
pub(super) struct Collected {
    pub(super) results: Vec<MethodResult>,
    pub(super) prompts: Vec<SubmittedPrompts>,
    pub(super) predictions: Vec<RunPredictions>,
    /// By method.
    pub(super) synthetic: Vec<(String, LabelledImages)>,
    pub(super) provenance: Vec<(String, String)>,
    pub(super) warnings: Vec<String>,
    pub(super) failures: Vec<Failure>,
}

impl Collected {
    pub(super) fn of(methods: &[Box<dyn Method + '_>]) -> Self {
        let results = methods.iter().map(|method| {
            let Card { name, description } = method.card();
            MethodResult {
                name,
                description,
                runs: Vec::new(),
            }
        });
        Self {
            results: results.collect(),
            prompts: Vec::new(),
            predictions: Vec::new(),
            synthetic: Vec::new(),
            provenance: Vec::new(),
            warnings: Vec::new(),
            failures: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, method: usize, seed: u64, outcome: Outcome, is_first: bool) {
        let Some(result) = self.results.get_mut(method) else {
            return;
        };
        let name = &result.name;
        let done = match outcome {
            Outcome::Done(done) => *done,
            Outcome::Failed { reason } => {
                self.failures.push(Failure {
                    method: name.clone(),
                    seed,
                    reason,
                });
                return;
            }
        };
        let hash = done.run.model_hash;
        let model = hash.map(|hash| ("model".to_owned(), hash.to_string()));
        for (what, value) in model.into_iter().chain(done.provenance) {
            self.provenance
                .push((format!("{name} {what}, seed {seed}"), value));
        }
        for warning in done.warnings {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        let said = done.predictions.into_iter();
        let said: Option<Vec<_>> = said.map(KeptPredictions::predictions).collect();
        self.predictions.extend(said.map(|models| RunPredictions {
            method: name.clone(),
            seed,
            models,
        }));
        if is_first {
            add_submissions(&mut self.prompts, done.prompts);
            let images = done.gallery.and_then(KeptImages::images);
            self.synthetic
                .extend(images.map(|images| (name.clone(), images)));
        }
        result.runs.push(done.run);
    }
}

/// Adds what a method's clients sent, where no earlier method's sent the same.
fn add_submissions(all: &mut Vec<SubmittedPrompts>, more: Vec<SubmittedPrompts>) {
    for submission in more {
        let key = |s: &SubmittedPrompts| (s.client.clone(), s.hash);
        if !all.iter().any(|there| key(there) == key(&submission)) {
            all.push(submission);
        }
    }
}
