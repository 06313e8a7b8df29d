//! Methods x seeds on one data set: runs everything and collects the comparison.

use crate::comparison::{Comparison, MethodResult, SubmittedPrompts};
use crate::federation::{Federation, FederationOptions};
use crate::gallery;
use crate::methods::{Method, RunContext};
use crate::observer::Observer;
use crate::{Error, Result};
use promptfed_data::{Dataset, DecodeOptions, LabelledImages, Partition};
use promptfed_learn::Recipe;
use promptfed_prompts::LabelSpace;
use std::time::Instant;

/// What is compared on what.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// The images and who holds them.
    pub data: ExperimentData,
    /// What all methods have in common.
    pub setting: Setting,
}

/// The images of an experiment and who holds them.
#[derive(Debug, Clone)]
pub struct ExperimentData {
    /// Title of the report.
    pub title: String,
    /// All clients' private samples; its classes are those of `label_space`, in the same order.
    pub private: Dataset,
    /// The test samples, with the same classes.
    pub test: Dataset,
    /// The classes.
    pub label_space: LabelSpace,
    /// Who holds what.
    pub partition: Partition,
    /// Least number of samples of a client.
    pub min_per_client: usize,
    /// Limits and strictness of decoding.
    pub decode: DecodeOptions,
}

/// What all methods of an experiment have in common.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The classifier and its training; each method sets its own epochs, schedule and seed.
    pub recipe: Recipe,
    /// One run of every method for each seed; at least one.
    pub seeds: Vec<u64>,
}

impl Experiment {
    /// Runs every method with every seed.
    ///
    /// # Errors
    /// If there is no seed, or if the data or a run fails.
    pub fn run(&self, methods: &[Box<dyn Method>], observer: &dyn Observer) -> Result<Comparison> {
        let start = Instant::now();
        let mut results: Vec<MethodResult> = methods
            .iter()
            .map(|method| MethodResult {
                name: method.name().to_owned(),
                description: method.description(),
                runs: Vec::with_capacity(self.setting.seeds.len()),
            })
            .collect();
        let mut first: Option<FirstRun> = None;
        let mut provenance = self.provenance();
        let mut warnings = Vec::new();
        for (index, &seed) in self.setting.seeds.iter().enumerate() {
            let reading = observer.begin(&format!("seed {seed}: reading images"), 0);
            let federation = self.federation(seed)?;
            drop(reading);
            if index == 0 {
                for note in federation.decoding.notes() {
                    observer.note(&note);
                }
            }
            let context = RunContext {
                federation: &federation,
                recipe: &self.setting.recipe,
                seed,
                observer,
            };
            let mut prompts = Vec::new();
            let mut synthetic = Vec::new();
            for (method, result) in methods.iter().zip(&mut results) {
                let outcome = method.run(&context)?;
                let run = &outcome.run;
                if let Some(hash) = run.model_hash {
                    provenance.push((
                        format!("{} model, seed {seed}", method.name()),
                        hash.to_string(),
                    ));
                }
                for (name, value) in outcome.provenance {
                    provenance.push((format!("{} {name}, seed {seed}", method.name()), value));
                }
                for warning in outcome.warnings {
                    if !warnings.contains(&warning) {
                        warnings.push(warning);
                    }
                }
                result.runs.push(outcome.run);
                add_submissions(&mut prompts, outcome.prompts);
                let images = outcome.synthetic.filter(|_| index == 0);
                synthetic.extend(images.map(|images| (method.name().to_owned(), images)));
            }
            if index == 0 {
                first = Some(FirstRun {
                    federation,
                    prompts,
                    synthetic,
                });
            }
        }
        let first = first.ok_or(Error::NoSeeds)?;
        Ok(Comparison {
            title: self.data.title.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            settings: self.settings(&first.federation),
            data: first.federation.summary(),
            gallery: gallery::cells(&first.federation, &first.synthetic)?,
            prompts: first.prompts,
            methods: results,
            provenance,
            warnings,
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    fn federation(&self, seed: u64) -> Result<Federation> {
        Federation::new(
            &self.data.private,
            &self.data.test,
            self.data.label_space.clone(),
            &FederationOptions {
                partition: self.data.partition,
                min_per_client: self.data.min_per_client,
                image_size: self.setting.recipe.image_size,
                fit: self.setting.recipe.fit,
                validation_fraction: self.setting.recipe.validation_fraction,
                seed,
                decode: self.data.decode.clone(),
            },
        )
    }

    fn settings(&self, federation: &Federation) -> Vec<(String, String)> {
        let recipe = &self.setting.recipe;
        let training = &recipe.training;
        let changed: Vec<String> = federation.decoding.notes().collect();
        let changed = if changed.is_empty() {
            "none".to_owned()
        } else {
            changed.join("; ")
        };
        [
            ("partition", self.data.partition.to_string()),
            ("clients", federation.clients.len().to_string()),
            ("image size", format!("{} px", recipe.image_size)),
            ("pictures made square by", recipe.fit.to_string()),
            ("classifier", recipe.architecture.to_string()),
            ("classifier width", recipe.width.to_string()),
            ("batch size", training.batch_size.to_string()),
            ("peak learning rate", training.learning_rate.to_string()),
            ("momentum", training.momentum.to_string()),
            ("weight decay", training.weight_decay.to_string()),
            ("label smoothing", training.label_smoothing.to_string()),
            (
                "augmentation",
                format!(
                    "flip {}, shift {}",
                    if training.augmentation.flip {
                        "on"
                    } else {
                        "off"
                    },
                    training.augmentation.shift
                ),
            ),
            ("validation share", recipe.validation_fraction.to_string()),
            ("kept epoch or round", federation.selection.to_string()),
            (
                "unreadable pictures skipped",
                federation.decoding.skipped.len().to_string(),
            ),
            ("pictures changed in decoding", changed),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    fn provenance(&self) -> Vec<(String, String)> {
        let seeds: Vec<String> = self.setting.seeds.iter().map(u64::to_string).collect();
        vec![
            (
                "promptfed version".to_owned(),
                env!("CARGO_PKG_VERSION").to_owned(),
            ),
            ("seeds".to_owned(), seeds.join(", ")),
            (
                format!("label space {}", self.data.label_space.name()),
                self.data.label_space.hash().to_string(),
            ),
        ]
    }
}

struct FirstRun {
    federation: Federation,
    prompts: Vec<SubmittedPrompts>,
    /// By method.
    synthetic: Vec<(String, LabelledImages)>,
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
