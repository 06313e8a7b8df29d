//! The course of a fusion.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use promptfed_files::{FolderKind, OwnFolder};
use promptfed_vision::EfficientNet;

use super::adjusting;
use super::budget::budget;
use super::candidates::Candidates;
use super::feedback::Feedback;
use super::looking::look;
use super::quotas::Scores;
use super::record::{FUSE_FILE, FUSED_FILE, FuseRecord};
use super::report::{COST_FILE, Cost, FuseReport, REPORT_FILE};
use super::select::Choice;
use super::signals::Transfer;
use super::signals::influence::{HeldOut, Labelled, Solutions};
use super::signals::outlying::outlying;
use super::soft_labels::SoftLabels;
use super::spec::{FuseSpec, QuotaSource, TaskKind};
use super::task_model::{
    TASK_MODELS, TASK_MODELS_FILE, TaskModel, TaskModelIndex, Trainer, check, keep, soften, views,
};
use crate::hash::hash_file;
use crate::job::differing;
use crate::{Error, Result, SyntheticSet};

/// How a fused set's folder is known.
const FUSED_FOLDER: FolderKind = FolderKind {
    what: "the folder of a fused set",
    mark: FUSE_FILE,
    lock: ".promptfed/fuse.lock",
};

/// Told where quotas by transfer change nothing.
const TWO_BACKENDS: &str = "quotas by transfer judge two backends by the images of a third, and there is none: both have even quotas; \
    clients' feedback can tell them apart";

/// Told where soft labels change nothing.
const ONE_BACKEND: &str = "soft labels are the votes of other backends' task models, and there is one backend: its images keep their labels";

/// Images by which the Hessian of the last layer is formed.
const HESSIAN_IMAGES: usize = 2048;

/// Added to the Hessian's diagonal (FuseGen).
const DAMPING: f64 = 5e-3;

/// Most steps of the conjugate gradients.
const SOLVER_STEPS: usize = 100;

/// What a fusion uses beside its sets.
#[derive(Clone, Copy, Default)]
pub struct Aids<'a> {
    /// EfficientNet-lite0, where [`FuseSpec::needs_network`].
    pub network: Option<&'a EfficientNet>,
    /// What clients tell, where quotas follow it.
    pub feedback: Option<&'a Feedback>,
}

/// How far a fusion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FuseProgress {
    /// What is being done.
    pub stage: &'static str,
    /// Steps done.
    pub done: usize,
    /// Steps in all.
    pub total: usize,
}

/// Chooses images of `sets` and writes references to them in the folder `out`, or goes on with the fusion that lies there. The order of
/// the sets changes nothing.
///
/// What is held in memory of each image is its place and its signals, some tens of bytes, and the images that one model is trained on;
/// features are on disk.
///
/// # Errors
/// A specification that cannot be followed, sets that do not belong together, a folder that holds anything else, an image that cannot be
/// read; [`Error::Cancelled`] where `cancel` was set, after which the same call goes on.
pub fn fuse(
    sets: Vec<SyntheticSet>,
    spec: &FuseSpec,
    aids: Aids<'_>,
    out: &Path,
    progress: &mut dyn FnMut(FuseProgress),
    cancel: &AtomicBool,
) -> Result<FuseReport> {
    spec.validate()?;
    let network = spec.needs_network().then_some(aids.network).flatten();
    if spec.needs_network() && network.is_none() {
        return Err(Error::Fusion(
            "this selection looks at images by EfficientNet-lite0, which was not given".into(),
        ));
    }
    let feedback = match (spec.quotas, aids.feedback) {
        (Some(QuotaSource::Feedback), None) => {
            return Err(Error::Fusion(
                "quotas by feedback need the clients' feedback; give it, or choose quotas by transfer".into(),
            ));
        }
        (Some(QuotaSource::Feedback), feedback) => feedback,
        (_, Some(_)) => {
            return Err(Error::Fusion(
                "feedback has no effect without quotas by feedback".into(),
            ));
        }
        (_, None) => None,
    };
    let mut candidates = Candidates::gather(sets)?;
    let record = FuseRecord::new(
        spec,
        &candidates,
        out,
        network
            .map(|network| hash_file(network.file()))
            .transpose()?,
        feedback.map(Feedback::hash).transpose()?,
    )?;
    compare(&record, out)?;
    let folder = OwnFolder::claim(out, FUSED_FOLDER)?;
    if !compare(&record, out)? {
        write_json(&folder, FUSE_FILE, &record)?;
    } else if let Some(done) = FuseReport::read(out)? {
        return Ok(done);
    }
    let mut run = Run {
        spec,
        folder: &folder,
        progress,
        cancel,
        cost: Cost::default(),
    };
    if let Some(network) = network {
        run.look(network, &mut candidates)?;
    }
    let needs = spec.needs();
    let models = if needs.agreement {
        run.ask_models(&mut candidates)?
    } else {
        Vec::new()
    };
    if needs.influence {
        run.weigh_influence(&mut candidates)?;
    }
    let agreement = candidates.signals.agreement.as_ref();
    let transfer = agreement.map(|agreement| Transfer::of(&candidates, agreement));
    let scores = scores(spec, &candidates, transfer.as_ref(), feedback)?;
    let mut notes = Vec::new();
    if spec.quotas == Some(QuotaSource::Transfer) && candidates.backends().len() == 2 {
        notes.push(TWO_BACKENDS.to_owned());
    }
    let kept = spec.keep.unwrap_or(u64::MAX);
    let scored = scores.as_ref().map(|scores| (scores, spec.softmax));
    let (budget, quotas) = budget(&candidates, kept, scored, spec.seed);
    let mut choices = run.timed("choosing", |_| {
        spec.select.select().choose(&candidates, &budget)
    })?;
    if choices.is_empty() {
        return Err(Error::Fusion("no image was chosen; keep more".into()));
    }
    if let Some(adjustment) = spec.weights {
        run.adjust(&candidates, &mut choices, adjustment)?;
    }
    if let Some(soft) = spec.soft_labels {
        if models.len() < 2 {
            notes.push(ONE_BACKEND.to_owned());
        }
        run.soften(&candidates, &mut choices, soft, &models)?;
    }
    let report = run.timed("writing", |run| {
        let report = FuseReport::of(&candidates, &choices, transfer, quotas, notes)?;
        let references = super::report::references(&candidates, &choices)?;
        run.folder.write(&out.join(FUSED_FILE), &references)?;
        Ok(report)
    })?;
    write_json(&folder, COST_FILE, &run.cost)?;
    write_json(&folder, REPORT_FILE, &report)?;
    for scratch in [
        FEATURES,
        VIEWS,
        FUSED_MODEL,
        FUSED_FEATURES,
        adjusting::STATE,
    ] {
        folder.discard(scratch)?;
    }
    Ok(report)
}

/// Scratch files.
const FEATURES: &str = "features.f32";
const VIEWS: &str = "views.f32";
const FUSED_MODEL: &str = "fused.safetensors";
const FUSED_FEATURES: &str = "fused-features.f32";

/// Whether the folder holds this fusion already.
fn compare(record: &FuseRecord, out: &Path) -> Result<bool> {
    if !out.join(FUSE_FILE).exists() {
        return Ok(false);
    }
    let there = FuseRecord::read(out)?;
    compare_values(&there, record, &out.join(FUSE_FILE), "a fused set")?;
    Ok(true)
}

/// Fails where the record in a folder is another one than is asked for, and names the first difference.
pub(super) fn compare_values(
    there: &impl serde::Serialize,
    wanted: &impl serde::Serialize,
    file: &Path,
    what: &str,
) -> Result<()> {
    let there = serde_json::to_value(there).unwrap_or_default();
    let wanted = serde_json::to_value(wanted).unwrap_or_default();
    match differing(&there, &wanted) {
        None => Ok(()),
        Some((field, found, wanted)) => Err(Error::Fusion(format!(
            "{}: this folder holds {what} with a different {field} ({found}, asked for {wanted}); choose another folder or repeat its own \
             settings and sets",
            file.display()
        ))),
    }
}

pub(super) fn write_json(
    folder: &OwnFolder,
    name: &str,
    value: &impl serde::Serialize,
) -> Result<()> {
    let file = folder.root().join(name);
    let mut text = serde_json::to_string_pretty(value).map_err(|e| Error::Output {
        file: file.clone(),
        reason: e.to_string(),
    })?;
    text.push('\n');
    Ok(folder.write(&file, text.as_bytes())?)
}

fn scores(
    spec: &FuseSpec,
    candidates: &Candidates,
    transfer: Option<&Transfer>,
    feedback: Option<&Feedback>,
) -> Result<Option<Scores>> {
    match spec.quotas {
        None => Ok(None),
        Some(QuotaSource::Transfer) => Ok(transfer.map(Transfer::scores)),
        Some(QuotaSource::Feedback) => {
            let scores = feedback.map(|feedback| feedback.scores(candidates));
            scores.transpose()
        }
    }
}

fn trainer<'a>(candidates: &'a Candidates, spec: &'a FuseSpec) -> Trainer<'a> {
    Trainer {
        candidates,
        spec: &spec.task,
        seed: spec.seed,
    }
}

/// A fusion under way.
struct Run<'a> {
    spec: &'a FuseSpec,
    folder: &'a OwnFolder,
    progress: &'a mut dyn FnMut(FuseProgress),
    cancel: &'a AtomicBool,
    cost: Cost,
}

impl Run<'_> {
    fn timed<T>(
        &mut self,
        stage: &'static str,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        check(self.cancel)?;
        let start = Instant::now();
        let result = work(self);
        self.cost.add(stage, start.elapsed());
        result
    }

    fn tell(&mut self, stage: &'static str, done: usize, total: usize) {
        (self.progress)(FuseProgress { stage, done, total });
    }

    fn look(&mut self, network: &EfficientNet, candidates: &mut Candidates) -> Result<()> {
        const STAGE: &str = "looking at images";
        let features = self.timed(STAGE, |run| {
            let file = run.folder.scratch(FEATURES)?;
            let total = candidates.len();
            look(network, candidates, &file, run.cancel, &mut |done| {
                (run.progress)(FuseProgress {
                    stage: STAGE,
                    done,
                    total,
                });
            })
        })?;
        let labels: Vec<u32> = candidates
            .images()
            .iter()
            .map(|image| image.class)
            .collect();
        let distances = outlying(&features, &labels, candidates.class_names().len())?;
        candidates.signals.outlying = Some(distances);
        candidates.signals.features = Some(features);
        Ok(())
    }

    /// Trains a task model for each backend, and has all of them look at every image.
    fn ask_models(&mut self, candidates: &mut Candidates) -> Result<Vec<TaskModel>> {
        const TRAINING: &str = "training task models";
        const ASKING: &str = "asking task models";
        let models = self.timed(TRAINING, |run| {
            let by_backend = candidates.by_backend();
            let mut models = Vec::with_capacity(by_backend.len());
            let mut index = Vec::new();
            for (backend, images) in by_backend.iter().enumerate() {
                check(run.cancel)?;
                run.tell(TRAINING, backend, by_backend.len());
                let name = &candidates.backends()[backend];
                let file = format!("{backend}.safetensors");
                let path = run.folder.root().join(TASK_MODELS).join(&file);
                let there = match run.spec.task.model {
                    TaskKind::Network => TaskModel::read(&path)?,
                    TaskKind::Features => None,
                };
                let model = match there {
                    Some(model) => model,
                    None => trainer(candidates, run.spec)
                        .train(&format!("task model of {name}"), images)?,
                };
                index.extend(keep(&model, run.folder, name, &file)?);
                models.push(model);
            }
            if !index.is_empty() {
                let file = format!("{TASK_MODELS}/{TASK_MODELS_FILE}");
                write_json(run.folder, &file, &TaskModelIndex { models: index })?;
            }
            Ok(models)
        })?;
        let agreement = self.timed(ASKING, |run| {
            let file = run.folder.scratch(VIEWS)?;
            let total = candidates.len();
            views(&models, candidates, &file, run.cancel, &mut |done| {
                (run.progress)(FuseProgress {
                    stage: ASKING,
                    done,
                    total,
                });
            })
        })?;
        candidates.signals.agreement = Some(agreement);
        Ok(models)
    }

    /// Trains a model on the images of all backends but some, and works out what each image does to the loss on those; to the loss on
    /// half of those where it is one of the others.
    fn weigh_influence(&mut self, candidates: &mut Candidates) -> Result<()> {
        const STAGE: &str = "weighing influence";
        let influences = self.timed(STAGE, |run| {
            let total = 3;
            run.tell(STAGE, 0, total);
            let held_out = HeldOut::draw(candidates, run.spec.seed);
            let file = run.folder.scratch(FUSED_MODEL)?;
            let there = match run.spec.task.model {
                TaskKind::Network => TaskModel::read(&file)?,
                TaskKind::Features => None,
            };
            let model = match there {
                Some(model) => model,
                None => trainer(candidates, run.spec).train("fused model", &held_out.training)?,
            };
            if let TaskModel::Network(model) = &model {
                run.folder.write(&file, &model.to_safetensors()?)?;
            }
            run.tell(STAGE, 1, total);
            let file = run.folder.scratch(FUSED_FEATURES)?;
            let (layer, features) = model.last_layer(candidates, &file, run.cancel)?;
            run.tell(STAGE, 2, total);
            let rows = |images: &[usize]| -> Result<(Vec<f32>, Vec<u32>)> {
                let labels = images.iter().map(|&i| candidates.images()[i].class);
                Ok((features.read(images)?, labels.collect()))
            };
            let parts = [rows(&held_out.parts[0])?, rows(&held_out.parts[1])?];
            let mut some = candidates.drawn(run.spec.seed, "hessian", &held_out.training);
            some.truncate(HESSIAN_IMAGES);
            let some = rows(&some)?;
            let [some, first, second] = [&some, &parts[0], &parts[1]]
                .map(|(features, labels)| Labelled { features, labels });
            let solutions = Solutions::of(&layer, some, [first, second], DAMPING, SOLVER_STEPS);
            let mut influences = Vec::with_capacity(candidates.len());
            features.each_row(|image, row| {
                let label = candidates.images()[image].class;
                let solution = solutions.for_part(held_out.part_of(image));
                influences.push(layer.influence(row, label, solution) as f32);
            })?;
            Ok(influences)
        })?;
        candidates.signals.influence = Some(influences);
        Ok(())
    }

    fn soften(
        &mut self,
        candidates: &Candidates,
        choices: &mut [Choice],
        soft: SoftLabels,
        models: &[TaskModel],
    ) -> Result<()> {
        const STAGE: &str = "softening labels";
        self.timed(STAGE, |run| {
            let total = choices.len();
            let (cancel, progress) = (run.cancel, &mut run.progress);
            soften(soft, models, candidates, choices, cancel, &mut |done| {
                progress(FuseProgress {
                    stage: STAGE,
                    done,
                    total,
                });
            })
        })
    }

    fn adjust(
        &mut self,
        candidates: &Candidates,
        choices: &mut [Choice],
        adjustment: super::weights::WeightAdjustment,
    ) -> Result<()> {
        const STAGE: &str = "adjusting weights";
        self.timed(STAGE, |run| {
            let mut rows: Vec<usize> = choices.iter().map(|choice| choice.row).collect();
            rows.sort_unstable();
            let state = run.folder.scratch(adjusting::STATE)?;
            let trainer = trainer(candidates, run.spec);
            let total = adjustment.iterations as usize;
            let (folder, cancel, progress) = (run.folder, run.cancel, &mut run.progress);
            let weights = adjusting::adjust(
                &trainer,
                &rows,
                adjustment,
                (folder, &state),
                cancel,
                &mut |done| {
                    progress(FuseProgress {
                        stage: STAGE,
                        done,
                        total,
                    });
                },
            )?;
            for (choice, weight) in choices.iter_mut().zip(weights) {
                choice.weight = weight;
            }
            Ok(())
        })
    }
}
