//! Training a classifier on a round's images: as its plan says, and later in other ways.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use promptfed_learn::{Classifier, EpochStats, Recipe};
use promptfed_prompts::ContentHash;
use promptfed_prompts::protocol::{
    CurvePoint, ModelSummary, RoundResults, RoundSpec, RoundState, StageSeconds, decimal,
};

use super::Worker;
use super::loading::Loaded;
use super::stages::{check_memory, seeds, timed, versions};
use crate::Result;
use crate::store::{Work, redrawn};

pub(super) struct Trained {
    pub(super) classifier: Classifier,
    pub(super) curve: Vec<CurvePoint>,
    pub(super) selected_epoch: u32,
    pub(super) selection: String,
    pub(super) warnings: Vec<String>,
    pub(super) validation_accuracy: Option<f64>,
}

impl Worker {
    /// Works on a later training of a round's images until it is done, fails, or is interrupted, which leaves no results.
    pub(super) fn train_again(
        &self,
        work: Work,
        interrupt: &Arc<AtomicBool>,
    ) -> Result<Option<RoundResults>> {
        let round = work.round;
        let spec = self.store.round_spec(round)?;
        let (Some(spec), Some(planned)) = (spec, self.store.planned_training(work)?) else {
            return Ok(None);
        };
        let spec = RoundSpec {
            training: planned.plan,
            ..spec
        };
        check_memory(&spec, planned.first.pooled.prompts)?;
        let mut seconds = StageSeconds::default();
        let Some(notes) = self.redraw(round, &spec, &planned, &mut seconds, interrupt)? else {
            return Ok(None);
        };
        let loaded = timed(&mut seconds.loading, || {
            self.load(round, &spec, &planned.draws)
        })?;
        let trained = timed(&mut seconds.training, || {
            self.train(&spec, &loaded, interrupt)
        })?;
        let Some(trained) = trained else {
            return Ok(None);
        };
        self.worked(round, "training", seconds.training);
        let model = self.keep(work, &trained.classifier)?;
        Ok(Some(RoundResults {
            training: work.training,
            plan: Some(spec.training),
            redrawn: redrawn(&planned.draws, &spec),
            dropped: loaded.dropped,
            per_class: loaded.per_class,
            model,
            curve: trained.curve,
            selected_epoch: trained.selected_epoch,
            selection: trained.selection,
            validation_accuracy: trained.validation_accuracy,
            warnings: [notes, loaded.notes, trained.warnings].concat(),
            seconds,
            versions: versions(),
            seeds: seeds(&spec),
            ..planned.first
        }))
    }

    /// Trains as the plan says; nothing where it was interrupted.
    pub(super) fn train(
        &self,
        spec: &RoundSpec,
        loaded: &Loaded,
        interrupt: &AtomicBool,
    ) -> Result<Option<Trained>> {
        let plan = &spec.training;
        self.report(RoundState::Training {
            epoch: 0,
            epochs: plan.epochs,
        });
        let recipe = Recipe::from(plan);
        let mut classifier = recipe.start(spec.label_space.len())?;
        let mut progress = |stats: &EpochStats| {
            let epoch = number(stats.epoch);
            self.report(RoundState::Training {
                epoch,
                epochs: plan.epochs,
            });
        };
        let warnings = recipe.doubts(&loaded.images.class_names);
        let images = recipe.hold_out_supervised(&loaded.images, &loaded.supervision)?;
        let report = match recipe.train(&mut classifier, &images, Some(interrupt), &mut progress) {
            Err(promptfed_learn::Error::Cancelled) => return Ok(None),
            report => report?,
        };
        let curve: Vec<_> = report.curve.iter().map(curve_point).collect();
        Ok(Some(Trained {
            validation_accuracy: curve
                .get(report.selected_epoch)
                .and_then(|p| p.validation_accuracy),
            selected_epoch: number(report.selected_epoch + 1),
            selection: report.selection.to_string(),
            warnings,
            curve,
            classifier,
        }))
    }

    /// Writes a model to its file, before its results are written down: a kill between the two has the same file written again.
    pub(super) fn keep(&self, work: Work, classifier: &Classifier) -> Result<ModelSummary> {
        let file = classifier.to_safetensors()?;
        promptfed_files::write_secret(&self.folder.model(work), &file)?;
        Ok(ModelSummary {
            hash: ContentHash::of(&file),
            bytes: file.len() as u64,
            path: format!("/v1/rounds/{}/model", work.round),
            parameters: classifier.num_parameters() as u64,
        })
    }
}

fn curve_point(stats: &EpochStats) -> CurvePoint {
    CurvePoint {
        learning_rate: decimal(stats.learning_rate),
        epoch: number(stats.epoch),
        train_loss: decimal(stats.train_loss),
        train_accuracy: decimal(stats.train_accuracy),
        validation_accuracy: stats.validation_accuracy.map(decimal),
        validation_balanced_accuracy: stats.validation_balanced_accuracy.map(decimal),
    }
}

/// As messages have it.
fn number(epoch: usize) -> u32 {
    u32::try_from(epoch).unwrap_or(u32::MAX)
}
