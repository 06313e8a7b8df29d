//! One job from its submissions to its model.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use promptfed_data::LabelledImages;
use promptfed_learn::{Classifier, EpochStats, Recipe};
use promptfed_prompts::protocol::{
    CurvePoint, ModelSummary, PooledPrompts, RoundId, RoundResults, RoundSpec, RoundState, Seeds,
    StageSeconds, SubmittedSet, Versions, decimal,
};
use promptfed_prompts::{ContentHash, LabelSpace, PromptSet, WIRE_VERSION};
use promptfed_synth::fuse::load_fused;

use super::Worker;
use super::fusion::Fused;
use super::memory::{most, needed};
use crate::store::Stored;
use crate::{Error, Result};

impl Worker {
    /// Works on a round until it is done, fails, or is interrupted, which leaves no results.
    pub(super) fn run(
        &self,
        round: RoundId,
        interrupt: &Arc<AtomicBool>,
    ) -> Result<Option<RoundResults>> {
        let Some(spec) = self.store.round_spec(round)? else {
            return Ok(None);
        };
        let interrupted = || interrupt.load(Ordering::Relaxed);
        let mut seconds = StageSeconds::default();

        let (submissions, pooled) = timed(&mut seconds.pooling, || {
            pool(self.store.submissions(round)?, &spec.label_space)
        })?;
        let (prompts, pooled_hash) = (pooled.len() as u64, pooled.hash());
        self.worked(round, "pooling", seconds.pooling);
        let needed = needed(&spec, prompts);
        if let Some(most) = most().filter(|most| needed > *most) {
            return Err(Error::Memory { needed, most });
        }

        self.folder.prepare_round(round)?;
        let folder = self.folder.synthetic(round);
        let made = timed(&mut seconds.synthesis, || {
            self.synthesise(&spec, pooled, &folder, interrupt)
        })?;
        self.worked(round, "synthesis", seconds.synthesis);
        self.folder.close_images(round)?;
        if interrupted() || made.cancelled {
            return Ok(None);
        }
        let fused_folder = self.folder.fused(round);
        let fused = match &spec.synthesis.fuse {
            None => None,
            Some(plan) => {
                let fused = timed(&mut seconds.fusing, || {
                    self.fuse(&spec, plan, &folder, &fused_folder, interrupt)
                })?;
                self.worked(round, "fusing", seconds.fusing);
                self.folder.close_images(round)?;
                let Some(fused) = fused else {
                    return Ok(None);
                };
                Some(fused)
            }
        };
        if interrupted() {
            return Ok(None);
        }
        let size = spec.training.image_size as usize;
        let (images, weights) = timed(&mut seconds.loading, || {
            Ok(match &fused {
                None => (promptfed_synth::load_images(&folder, size)?, None),
                Some(_) => load_fused(&fused_folder, size)?,
            })
        })?;
        let per_class = match &fused {
            None => count_classes(&images.labels, spec.label_space.len()),
            Some(_) => {
                let made = promptfed_synth::open_images(&folder)?;
                let labels: Vec<u32> = made.samples.iter().map(|image| image.label).collect();
                count_classes(&labels, spec.label_space.len())
            }
        };
        let (fusion, fusion_notes) = match fused {
            None => (None, Vec::new()),
            Some(Fused { summary, mut notes }) => {
                notes.extend(unchosen(&spec.label_space, &per_class, &summary.per_class));
                (Some(summary), notes)
            }
        };

        let trained = timed(&mut seconds.training, || {
            self.train(&spec, &images, weights.as_deref(), interrupt)
        });
        let trained = match trained {
            Err(Error::Training(promptfed_learn::Error::Cancelled)) => return Ok(None),
            trained => trained?,
        };
        self.worked(round, "training", seconds.training);
        let file = trained.classifier.to_safetensors()?;
        promptfed_files::write_secret(&self.folder.model(round), &file)?;

        let results = RoundResults {
            round_id: round,
            prompt_sets: submissions,
            pooled: PooledPrompts {
                hash: pooled_hash,
                prompts,
            },
            sources: made.sources,
            images: made.images,
            per_class,
            fusion,
            model: ModelSummary {
                hash: ContentHash::of(&file),
                bytes: file.len() as u64,
                path: format!("/v1/rounds/{round}/model"),
                parameters: trained.classifier.num_parameters() as u64,
            },
            validation_accuracy: trained.validation_accuracy,
            selected_epoch: trained.selected_epoch,
            selection: trained.selection,
            warnings: [made.notes, fusion_notes, trained.warnings].concat(),
            curve: trained.curve,
            seconds,
            versions: Versions {
                server: env!("CARGO_PKG_VERSION").to_owned(),
                wire: WIRE_VERSION,
            },
            seeds: Seeds {
                synthesis: spec.synthesis.seed,
                training: spec.training.seed,
            },
        };
        Ok(Some(results))
    }

    fn train(
        &self,
        spec: &RoundSpec,
        images: &LabelledImages,
        weights: Option<&[f32]>,
        interrupt: &AtomicBool,
    ) -> Result<Trained> {
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
        let warnings = recipe.doubts(&images.class_names);
        let images = match weights {
            None => recipe.hold_out(images),
            Some(weights) => recipe.hold_out_weighted(images, weights)?,
        };
        let report = recipe.train(&mut classifier, &images, Some(interrupt), &mut progress)?;
        let curve: Vec<_> = report.curve.iter().map(curve_point).collect();
        Ok(Trained {
            validation_accuracy: curve
                .get(report.selected_epoch)
                .and_then(|p| p.validation_accuracy),
            selected_epoch: number(report.selected_epoch + 1),
            selection: report.selection.to_string(),
            warnings,
            curve,
            classifier,
        })
    }
}

struct Trained {
    classifier: Classifier,
    curve: Vec<CurvePoint>,
    selected_epoch: u32,
    selection: String,
    warnings: Vec<String>,
    validation_accuracy: Option<f64>,
}

fn pool(stored: Vec<Stored>, label_space: &LabelSpace) -> Result<(Vec<SubmittedSet>, PromptSet)> {
    let mut submitted = Vec::with_capacity(stored.len());
    let mut sets = Vec::with_capacity(stored.len());
    for Stored {
        hash,
        prompts,
        wire,
    } in stored
    {
        submitted.push(SubmittedSet {
            hash,
            prompts,
            bytes: wire.len() as u64,
        });
        sets.push(PromptSet::from_wire(&wire, label_space)?);
    }
    Ok((submitted, PromptSet::merge(&sets)?))
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

/// That classes of which there are images are not trained on.
fn unchosen(label_space: &LabelSpace, made: &[u64], chosen: &[u64]) -> Option<String> {
    let classes = label_space.classes().iter().zip(made.iter().zip(chosen));
    let missed: Vec<String> = classes
        .filter(|(_, (made, chosen))| **made > 0 && **chosen == 0)
        .map(|(class, _)| format!("{:?}", class.name))
        .collect();
    let told = format!(
        "no image of {} was chosen, and the model never sees it; keep more images",
        missed.join(", ")
    );
    (!missed.is_empty()).then_some(told)
}

fn count_classes(labels: &[u32], classes: usize) -> Vec<u64> {
    let mut counts = vec![0; classes];
    for label in labels {
        if let Some(count) = counts.get_mut(*label as usize) {
            *count += 1;
        }
    }
    counts
}

fn timed<T>(seconds: &mut f64, stage: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let result = stage();
    *seconds = start.elapsed().as_secs_f64();
    result
}
