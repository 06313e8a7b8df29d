//! Methods x seeds on one data set: runs everything and collects the comparison.

mod collected;
mod dispatcher;
mod queue;
mod resources;
mod settings;
mod told_apart;
mod tuning;
mod work;

pub use resources::Resources;
pub use tuning::{RateScore, Tuned};

use crate::comparison::Comparison;
use crate::federation::{Federation, FederationOptions, TestSet};
use crate::gallery;
use crate::journal::{CellKey, Journal};
use crate::methods::Method;
use crate::observer::Observer;
use crate::pairs::pairs;
use crate::predictions::TestPredictions;
use crate::simulation::Simulation;
use crate::{Error, Result};
use collected::Collected;
use promptfed_data::{Dataset, DecodeOptions, Partition};
use promptfed_learn::{Recipe, Schedule};
use promptfed_prompts::LabelSpace;
use promptfed_synth::engines::sd::Precision;
use queue::{Measured, Queue};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
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
    /// Images that everybody may have, whatever they show.
    pub public: Option<Dataset>,
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
    /// Peak learning rates of methods by name, in place of the recipe's.
    pub rates: BTreeMap<String, f32>,
    /// The clients' links and computers, where they are simulated.
    pub simulation: Option<Simulation>,
    /// The test accuracy that is waited for on the simulated clock, in (0, 1].
    pub target_accuracy: Option<f64>,
}

impl Setting {
    /// This recipe for all methods, and nothing simulated.
    pub fn new(recipe: Recipe, seeds: Vec<u64>) -> Self {
        Self {
            recipe,
            seeds,
            rates: BTreeMap::new(),
            simulation: None,
            target_accuracy: None,
        }
    }

    /// The recipe of a method.
    fn recipe_of(&self, method: &str) -> Recipe {
        let mut recipe = self.recipe.clone();
        if let Some(rate) = self.rates.get(method) {
            recipe.training.learning_rate = *rate;
        }
        recipe
    }
}

impl Experiment {
    /// Runs every method with every seed, one after the other, but for what is in the journal already. A run that fails is told and is not the
    /// end, unless all do.
    ///
    /// # Errors
    /// If there is no seed, if the data cannot be read, if the journal cannot be written, if every run fails (the first one's error), or if
    /// `cancel` is set.
    pub fn run(
        &self,
        methods: &[Box<dyn Method + '_>],
        journal: &Journal,
        observer: &dyn Observer,
        cancel: &AtomicBool,
    ) -> Result<Comparison> {
        self.run_with(methods, journal, observer, cancel, &Resources::default())
    }

    /// The same with so many runs at a time. What they come to does not depend on how many; their seconds do.
    ///
    /// # Errors
    /// As [`Experiment::run`].
    pub fn run_with(
        &self,
        methods: &[Box<dyn Method + '_>],
        journal: &Journal,
        observer: &dyn Observer,
        cancel: &AtomicBool,
        resources: &Resources,
    ) -> Result<Comparison> {
        let start = Instant::now();
        let test = self.test(resources)?;
        let queue = Queue {
            experiment: self,
            methods: methods.iter().map(AsRef::as_ref).collect(),
            test: &test,
            journal,
            observer,
            cancel,
            resources,
            trial: None,
        };
        let Measured {
            first,
            outcomes,
            mut failed,
        } = queue.run()?;
        let mut collected = Collected::of(methods);
        for (place, outcome) in outcomes.into_iter().enumerate() {
            let (seed, method) = (place / methods.len(), place % methods.len());
            collected.add(method, self.setting.seeds[seed], outcome, seed == 0);
        }
        if collected
            .results
            .iter()
            .all(|method| method.runs.is_empty())
            && !failed.is_empty()
        {
            // What is wrong with all of them is wrong with what was asked for: it is to be mended, and nothing of it kept.
            for (key, _) in &failed {
                journal.forget(key)?;
            }
            return Err(failed.swap_remove(0).1);
        }
        let mut provenance = self.provenance();
        provenance.extend(collected.provenance);
        let predictions = TestPredictions::of(&test, collected.predictions);
        Ok(Comparison {
            title: self.data.title.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            settings: self.settings(&first, &test),
            data: first.summary(&test),
            gallery: gallery::cells(&first, &collected.synthetic)?,
            prompts: collected.prompts,
            pairs: pairs(&collected.results, &predictions, observer, cancel).ok_or_else(|| {
                Error::Cancelled {
                    kept: journal.count(),
                }
            })?,
            predictions,
            methods: collected.results,
            provenance,
            warnings: collected.warnings,
            unseen_classes: Vec::new(),
            failures: collected.failures,
            tuned: Vec::new(),
            target_accuracy: self.setting.target_accuracy,
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    /// `data` is the hash of the images that the method sees and is tested on.
    fn key(&self, method: &dyn Method, seed: u64, data: &str) -> Result<CellKey> {
        let card = method.card();
        // Each method sets these itself.
        let mut recipe = self.setting.recipe_of(&card.name).with(1, 0);
        recipe.training.schedule = Schedule::Constant;
        let simulation = self.setting.simulation;
        let simulation = simulation.map(|simulation| format!("; {simulation}"));
        Ok(CellKey {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            determined_by: format!(
                "{}; {}{}",
                card.description,
                method.determined_by(),
                simulation.unwrap_or_default()
            ),
            method: card.name,
            seed,
            data: data.to_owned(),
            recipe: serde_json::to_value(&recipe)?,
            precision: Precision::chosen().to_string(),
        })
    }

    fn test(&self, resources: &Resources) -> Result<TestSet> {
        let first = self.setting.seeds.first().ok_or(Error::NoSeeds)?;
        TestSet::read(
            &self.data.test,
            &self.data.label_space,
            &self.options(*first, resources),
        )
    }

    fn federation(&self, seed: u64, resources: &Resources) -> Result<Federation> {
        let label_space = self.data.label_space.clone();
        let options = self.options(seed, resources);
        let federation = Federation::new(&self.data.private, label_space, &options)?;
        match &self.data.public {
            Some(public) => federation.with_public(public, &options),
            None => Ok(federation),
        }
    }

    fn options(&self, seed: u64, resources: &Resources) -> FederationOptions {
        FederationOptions {
            partition: self.data.partition,
            min_per_client: self.data.min_per_client,
            image_size: self.setting.recipe.image_size,
            fit: self.setting.recipe.fit,
            validation_fraction: self.setting.recipe.validation_fraction,
            seed,
            decode: self.data.decode.clone(),
            images: Arc::clone(&resources.images),
        }
    }
}
