//! Methods x seeds on one data set: runs everything and collects the comparison.

use crate::comparison::{Comparison, Failure, MethodResult, MethodRun, SubmittedPrompts};
use crate::error::told;
use crate::federation::{Federation, FederationOptions, TestSet};
use crate::gallery;
use crate::journal::{Cell, CellKey, Done, Journal, KeptImages, KeptPredictions, Outcome};
use crate::methods::{Card, Method, Models, World};
use crate::observer::Observer;
use crate::pairs::pairs;
use crate::predictions::{RunPredictions, TestPredictions};
use crate::probe::{TestProbe, test_all};
use crate::wire::Channel;
use crate::{Error, Result};
use promptfed_data::{Dataset, DecodeOptions, DecodeReport, LabelledImages, Partition};
use promptfed_learn::{Recipe, Schedule};
use promptfed_prompts::{ContentHash, LabelSpace};
use promptfed_synth::engines::sd::Precision;
use std::sync::atomic::{AtomicBool, Ordering};
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
}

impl Experiment {
    /// Runs every method with every seed, but for what is in the journal already. A run that fails is told and is not the end, unless all do.
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
        let start = Instant::now();
        let mut collected = Collected::of(methods);
        let mut failed: Vec<(CellKey, Error)> = Vec::new();
        let test = self.test()?;
        let mut first: Option<Federation> = None;
        for &seed in &self.setting.seeds {
            let reading = observer.begin(&format!("seed {seed}: reading images"), 0);
            let federation = self.federation(seed)?;
            drop(reading);
            let is_first = first.is_none();
            if is_first {
                for note in decoding(&federation, &test).notes() {
                    observer.note(&note);
                }
            }
            let data = federation.identity(&test).to_string();
            let public = federation.public.as_ref();
            let with_public = public
                .map(|public| format!("{data} {}", ContentHash::of(public.hash().as_bytes())));
            for (index, method) in methods.iter().enumerate() {
                let seen = with_public.as_ref().filter(|_| method.looks_at_public());
                let key = self.key(method.as_ref(), seed, seen.unwrap_or(&data))?;
                if let Some(cell) = journal.find(&key)? {
                    collected.add(index, seed, cell.outcome, is_first);
                    continue;
                }
                let interrupted = || Error::Cancelled {
                    kept: journal.count(),
                };
                if cancel.load(Ordering::Relaxed) {
                    return Err(interrupted());
                }
                let work = Work {
                    federation: &federation,
                    test: &test,
                    recipe: &self.setting.recipe,
                    seed,
                    observer,
                    cancel,
                };
                let outcome = match work.run(method.as_ref()) {
                    Ok(done) => Outcome::Done(Box::new(done)),
                    Err(_) if cancel.load(Ordering::Relaxed) => return Err(interrupted()),
                    Err(error) => {
                        let reason = told(&error);
                        observer.warn(&format!("{}, seed {seed}: {reason}", method.card().name));
                        failed.push((key.clone(), error));
                        Outcome::Failed { reason }
                    }
                };
                let cell = Cell { key, outcome };
                journal.keep(&cell)?;
                collected.add(index, seed, cell.outcome, is_first);
            }
            first = first.or(Some(federation));
        }
        let first = first.ok_or(Error::NoSeeds)?;
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
            pairs: pairs(&collected.results, &predictions),
            predictions,
            methods: collected.results,
            provenance,
            warnings: collected.warnings,
            failures: collected.failures,
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    /// `data` is the hash of the images that the method sees and is tested on.
    fn key(&self, method: &dyn Method, seed: u64, data: &str) -> Result<CellKey> {
        let card = method.card();
        // Each method sets these itself.
        let mut recipe = self.setting.recipe.with(1, 0);
        recipe.training.schedule = Schedule::Constant;
        Ok(CellKey {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            determined_by: format!("{}; {}", card.description, method.determined_by()),
            method: card.name,
            seed,
            data: data.to_owned(),
            recipe: serde_json::to_value(&recipe)?,
            precision: Precision::chosen().to_string(),
        })
    }

    fn test(&self) -> Result<TestSet> {
        let first = self.setting.seeds.first().ok_or(Error::NoSeeds)?;
        TestSet::read(
            &self.data.test,
            &self.data.label_space,
            &self.options(*first),
        )
    }

    fn federation(&self, seed: u64) -> Result<Federation> {
        let label_space = self.data.label_space.clone();
        let options = self.options(seed);
        let federation = Federation::new(&self.data.private, label_space, &options)?;
        match &self.data.public {
            Some(public) => federation.with_public(public, &options),
            None => Ok(federation),
        }
    }

    fn options(&self, seed: u64) -> FederationOptions {
        FederationOptions {
            partition: self.data.partition,
            min_per_client: self.data.min_per_client,
            image_size: self.setting.recipe.image_size,
            fit: self.setting.recipe.fit,
            validation_fraction: self.setting.recipe.validation_fraction,
            seed,
            decode: self.data.decode.clone(),
        }
    }

    fn settings(&self, federation: &Federation, test: &TestSet) -> Vec<(String, String)> {
        let decoding = decoding(federation, test);
        let recipe = &self.setting.recipe;
        let training = &recipe.training;
        let changed: Vec<String> = decoding.notes().collect();
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
                decoding.skipped.len().to_string(),
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

/// One method with one seed, to be run.
struct Work<'a> {
    federation: &'a Federation,
    test: &'a TestSet,
    recipe: &'a Recipe,
    seed: u64,
    observer: &'a dyn Observer,
    cancel: &'a AtomicBool,
}

impl Work<'_> {
    /// Runs a method once and tests what it leaves. The clock stands while models are tested.
    fn run(&self, method: &dyn Method) -> Result<Done> {
        let channel = Channel::new();
        let world = World {
            federation: self.federation,
            recipe: self.recipe,
            seed: self.seed,
            channel: &channel,
            observer: self.observer,
            cancel: self.cancel,
        };
        let mut probe = TestProbe::new(self.test, &channel);
        let start = Instant::now();
        let trained = method.run(&world, &mut probe)?;
        let seconds = (start.elapsed() - probe.testing).as_secs_f64();
        let (evaluation, said) = test_all(&trained.models, &self.federation.clients, self.test)?;
        let mut accuracy_by_bytes = std::mem::take(&mut probe.accuracy_by_bytes);
        if accuracy_by_bytes.is_empty() {
            accuracy_by_bytes.push((channel.total(), evaluation.accuracy));
        }
        let file = match &trained.models {
            Models::Global(model) => model.file()?,
            Models::PerClient(_) => None,
        };
        let images = trained.synthetic.map(|images| -> Result<KeptImages> {
            let images = images.load(self.recipe.image_size)?;
            Ok(KeptImages::of(&gallery::shown(self.federation, &images)))
        });
        Ok(Done {
            run: MethodRun {
                seed: self.seed,
                evaluation,
                ledger: channel.into_ledger(),
                seconds,
                curve: trained.curve,
                accuracy_by_bytes,
                model_hash: file.map(|file| ContentHash::of(&file)),
                selected: trained.selected,
                selection: trained.selection,
                synthetic: trained.counts,
            },
            prompts: trained.prompts,
            predictions: said.into_iter().map(KeptPredictions::of).collect(),
            gallery: images.transpose()?,
            provenance: trained.provenance,
            warnings: trained.warnings,
        })
    }
}

/// What the cells of a comparison come to.
struct Collected {
    results: Vec<MethodResult>,
    prompts: Vec<SubmittedPrompts>,
    predictions: Vec<RunPredictions>,
    /// By method.
    synthetic: Vec<(String, LabelledImages)>,
    provenance: Vec<(String, String)>,
    warnings: Vec<String>,
    failures: Vec<Failure>,
}

impl Collected {
    fn of(methods: &[Box<dyn Method + '_>]) -> Self {
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

    fn add(&mut self, method: usize, seed: u64, outcome: Outcome, is_first: bool) {
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

/// What came of decoding the pictures of all clients and the test set; a skipped sample's index counts in its own set.
fn decoding(federation: &Federation, test: &TestSet) -> DecodeReport {
    let mut all = federation.decoding.clone();
    all.merge(test.decoding.clone());
    all
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
