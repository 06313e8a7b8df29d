//! One job from its submissions to its model.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use promptfed_prompts::protocol::{
    PooledPrompts, RoundId, RoundResults, RoundSpec, Seeds, StageSeconds, SubmittedSet, Versions,
};
use promptfed_prompts::{LabelSpace, PromptSet, WIRE_VERSION};
use promptfed_synth::PromptSource;

use super::Worker;
use super::fusion::Fused;
use super::memory::{most, needed};
use super::synthesis::Drawing;
use crate::store::{Draws, Stored, Work};
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
        check_memory(&spec, prompts)?;

        self.folder.prepare_round(round)?;
        let folder = self.folder.synthetic(round);
        let drawing = Drawing {
            plan: &spec.synthesis,
            shares: spec.synthesis.shares(),
            prompts: PromptSource::Set {
                prompts: pooled,
                label_space: spec.label_space.clone(),
            },
            count: prompts,
            folder: &folder,
            again: None,
        };
        let made = timed(&mut seconds.synthesis, || {
            self.synthesise(&drawing, interrupt)
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
        let loaded = timed(&mut seconds.loading, || {
            self.load(round, &spec, &Draws::new())
        })?;
        let (fusion, fusion_notes) = match fused {
            None => (None, Vec::new()),
            Some(Fused { summary, mut notes }) => {
                let chosen = &summary.per_class;
                notes.extend(unchosen(&spec.label_space, &loaded.per_class, chosen));
                (Some(summary), notes)
            }
        };

        let trained = timed(&mut seconds.training, || {
            self.train(&spec, &loaded, interrupt)
        })?;
        let Some(trained) = trained else {
            return Ok(None);
        };
        self.worked(round, "training", seconds.training);
        let model = self.keep(Work::of_round(round), &trained.classifier)?;

        let results = RoundResults {
            round_id: round,
            training: 1,
            plan: Some(spec.training),
            redrawn: Vec::new(),
            dropped: loaded.dropped,
            prompt_sets: submissions,
            pooled: PooledPrompts {
                hash: pooled_hash,
                prompts,
            },
            sources: made.sources,
            images: made.images,
            per_class: loaded.per_class,
            fusion,
            model,
            validation_accuracy: trained.validation_accuracy,
            selected_epoch: trained.selected_epoch,
            selection: trained.selection,
            warnings: [made.notes, fusion_notes, loaded.notes, trained.warnings].concat(),
            curve: trained.curve,
            seconds,
            versions: versions(),
            seeds: seeds(&spec),
        };
        Ok(Some(results))
    }
}

/// Refuses a training that cannot fit this machine.
pub(super) fn check_memory(spec: &RoundSpec, prompts: u64) -> Result<()> {
    let needed = needed(spec, prompts);
    match most().filter(|most| needed > *most) {
        Some(most) => Err(Error::Memory { needed, most }),
        None => Ok(()),
    }
}

/// This server's versions.
pub(super) fn versions() -> Versions {
    Versions {
        server: env!("CARGO_PKG_VERSION").to_owned(),
        wire: WIRE_VERSION,
    }
}

pub(super) fn seeds(spec: &RoundSpec) -> Seeds {
    Seeds {
        synthesis: spec.synthesis.seed,
        training: spec.training.seed,
    }
}

pub(super) fn pool(
    stored: Vec<Stored>,
    label_space: &LabelSpace,
) -> Result<(Vec<SubmittedSet>, PromptSet)> {
    let mut submitted = Vec::with_capacity(stored.len());
    let mut sets = Vec::with_capacity(stored.len());
    for Stored {
        hash,
        prompts,
        bytes,
        wire,
    } in stored
    {
        submitted.push(SubmittedSet {
            hash,
            prompts,
            bytes,
        });
        sets.push(PromptSet::from_wire(&wire, label_space)?);
    }
    Ok((submitted, PromptSet::merge(&sets)?))
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

pub(super) fn timed<T>(seconds: &mut f64, stage: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let result = stage();
    *seconds = start.elapsed().as_secs_f64();
    result
}
