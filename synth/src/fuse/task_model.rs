//! Small models of the task, one for each backend, trained on what it made.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use promptfed_data::{Dataset, LabelledImages};
use promptfed_files::OwnFolder;
use promptfed_learn::Classifier;
use promptfed_nn::cross_entropy::arg_max;
use promptfed_prompts::ContentHash;
use serde::{Deserialize, Serialize};

use super::candidates::{Candidates, decode};
use super::features::FeatureFile;
use super::select::Choice;
use super::signals::Agreement;
use super::signals::influence::{Labelled, LastLayer};
use super::soft_labels::SoftLabels;
use super::spec::{TaskKind, TaskSpec, seed_of};
use crate::{Error, Result};

/// Folder of the task models in a fusion's folder.
pub const TASK_MODELS: &str = "task-models";

/// Name of the file in it that says which model is whose.
pub const TASK_MODELS_FILE: &str = "backends.json";

/// Images scored between two writes.
const CHUNK: usize = 512;

/// L2 penalty of the logistic regression on features of length [`LENGTH`](super::looking::LENGTH).
const DECAY: f64 = 1e-3;

/// One task model.
pub(super) enum TaskModel {
    Network(Box<Classifier>),
    /// On the features of EfficientNet-lite0.
    Linear(LastLayer),
}

/// What trains task models.
pub(super) struct Trainer<'a> {
    pub(super) candidates: &'a Candidates,
    pub(super) spec: &'a TaskSpec,
    pub(super) seed: u64,
}

impl Trainer<'_> {
    /// A model of `purpose`, trained on at most so many of `images` as the specification says.
    pub(super) fn train(&self, purpose: &str, images: &[usize]) -> Result<TaskModel> {
        let seed = seed_of(self.seed, purpose);
        let mut drawn = self.candidates.drawn(seed, "task model", images);
        drawn.truncate(self.spec.images as usize);
        drawn.sort_unstable();
        match self.spec.model {
            TaskKind::Network => {
                let images = self.candidates.load(&drawn, self.spec.recipe.image_size)?;
                Ok(TaskModel::Network(Box::new(self.network(seed, &images)?)))
            }
            TaskKind::Features => {
                let file = self.candidates.signals.features()?;
                let features = file.read(&drawn)?;
                let images = self.candidates.images();
                let labels: Vec<u32> = drawn.iter().map(|&i| images[i].class).collect();
                let labelled = Labelled {
                    features: &features,
                    labels: &labels,
                };
                let classes = self.candidates.class_names().len();
                Ok(TaskModel::Linear(LastLayer::fit(
                    labelled,
                    file.width(),
                    classes,
                    DECAY,
                )))
            }
        }
    }

    fn network(&self, seed: u64, images: &LabelledImages) -> Result<Classifier> {
        let recipe = self
            .spec
            .recipe
            .with(self.spec.recipe.training.epochs, seed);
        let mut model = recipe.start(images.class_names.len())?;
        recipe.train(&mut model, &recipe.hold_out(images), None, &mut |_| ())?;
        Ok(model)
    }
}

impl TaskModel {
    /// The file of a network.
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        const MAX_BYTES: u64 = 1 << 30;
        if !path.exists() {
            return Ok(None);
        }
        let bytes = promptfed_files::read(path, MAX_BYTES)?;
        let model = Classifier::from_safetensors(&bytes)?;
        Ok(Some(Self::Network(Box::new(model))))
    }

    /// The last layer, and the features that it reads of all candidates, in `file` where they are not those of EfficientNet-lite0.
    pub(super) fn last_layer(
        &self,
        candidates: &Candidates,
        file: &Path,
        cancel: &AtomicBool,
    ) -> Result<(LastLayer, FeatureFile)> {
        match self {
            Self::Linear(layer) => {
                let features = candidates.signals.features()?;
                Ok((layer.clone(), features.reopened()))
            }
            Self::Network(model) => {
                let weights = model.weights()?;
                let values = |name: &str| weights.get(name).map(|t| t.values.as_slice());
                let head = values("head.weight").zip(values("head.bias"));
                let (weight, bias) = head
                    .ok_or_else(|| Error::Fusion("a task model has no last linear map".into()))?;
                let layer = LastLayer::new(weight, bias);
                let features = FeatureFile::at(file, model.channels());
                candidates.each_chunk(features.rows()?, CHUNK, |range, dataset| {
                    check(cancel)?;
                    let images = decode(dataset, model.config().image_size)?;
                    features.append(range.start, &model.features(&images)?)
                })?;
                Ok((layer, features))
            }
        }
    }
}

/// Stops where asked to.
pub(super) fn check(cancel: &AtomicBool) -> Result<()> {
    if cancel.load(Ordering::Relaxed) {
        return Err(Error::Cancelled);
    }
    Ok(())
}

/// What each model says of `images`, which `dataset` holds in that order: `[images, classes]` probabilities by model. Pictures are decoded
/// once, where a network looks at them.
pub(super) fn probabilities(
    models: &[TaskModel],
    candidates: &Candidates,
    images: &[usize],
    dataset: &Dataset,
) -> Result<Vec<Vec<f32>>> {
    let features = candidates.signals.features.as_ref();
    let mut decoded: Option<LabelledImages> = None;
    let mut of_models = Vec::with_capacity(models.len());
    for model in models {
        of_models.push(match model {
            TaskModel::Network(model) => {
                let pictures = match decoded.take() {
                    Some(pictures) => pictures,
                    None => decode(dataset, model.config().image_size)?,
                };
                let probabilities = model.probabilities(&pictures)?;
                decoded = Some(pictures);
                probabilities
            }
            TaskModel::Linear(layer) => {
                let features = features.ok_or_else(|| {
                    Error::Fusion("features of the images were not worked out".into())
                })?;
                let features = features.read(images)?;
                let rows = features.chunks_exact(layer.width());
                let p = rows.flat_map(|row| layer.probabilities(row));
                p.map(|p| p as f32).collect()
            }
        });
    }
    Ok(of_models)
}

/// What all models say of all candidates, kept in `file` as far as it got.
pub(super) fn views(
    models: &[TaskModel],
    candidates: &Candidates,
    file: &Path,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(usize),
) -> Result<Agreement> {
    let file = FeatureFile::at(file, 2 * models.len());
    let classes = candidates.class_names().len();
    candidates.each_chunk(file.rows()?, CHUNK, |range, dataset| {
        check(cancel)?;
        let images: Vec<usize> = range.clone().collect();
        let of_models = probabilities(models, candidates, &images, dataset)?;
        let mut rows = Vec::with_capacity(range.len() * 2 * models.len());
        for (at, image) in range.clone().enumerate() {
            let class = candidates.images()[image].class as usize;
            let row = |p: &Vec<f32>| p[at * classes..(at + 1) * classes].to_vec();
            let of_image: Vec<Vec<f32>> = of_models.iter().map(row).collect();
            rows.extend(of_image.iter().map(|p| p[class]));
            rows.extend(of_image.iter().map(|p| arg_max(p) as f32));
        }
        file.append(range.start, &rows)?;
        progress(range.end);
        Ok(())
    })?;
    let (mut own, mut predicted) = (Vec::new(), Vec::new());
    file.each_row(|_, row| {
        let (p, classes) = row.split_at(models.len());
        own.extend_from_slice(p);
        predicted.extend(classes.iter().map(|class| *class as u32));
    })?;
    Ok(Agreement::new(models.len(), own, predicted))
}

/// Softens the labels of the chosen images, which are in the candidates' order, by what the models say of them. The models are those of the
/// backends, in their order.
pub(super) fn soften(
    soft: SoftLabels,
    models: &[TaskModel],
    candidates: &Candidates,
    choices: &mut [Choice],
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(usize),
) -> Result<()> {
    let classes = candidates.class_names().len();
    let mut done = 0;
    candidates.each_chunk(0, CHUNK, |range, dataset| {
        check(cancel)?;
        let of_chunk = choices[done..].iter();
        let of_chunk = of_chunk.take_while(|choice| choice.row < range.end);
        let end = done + of_chunk.count();
        let chosen = &mut choices[done..end];
        done = end;
        if chosen.is_empty() {
            return Ok(());
        }
        let images: Vec<usize> = chosen.iter().map(|choice| choice.row).collect();
        let places: Vec<usize> = images.iter().map(|image| image - range.start).collect();
        let dataset = dataset.subset(&places);
        let of_models = probabilities(models, candidates, &images, &dataset)?;
        for (at, choice) in chosen.iter_mut().enumerate() {
            let maker = candidates.backend(choice.row);
            let others = of_models.iter().enumerate();
            let others = others.filter(|(model, _)| *model != maker);
            let votes = others.map(|(_, p)| &p[at * classes..(at + 1) * classes]);
            let label = candidates.images()[choice.row].class as usize;
            choice.targets = Some(soft.target(label, classes, votes));
        }
        progress(done);
        Ok(())
    })
}

/// The task models of a fusion's folder, for clients who score them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TaskModelIndex {
    /// The models, in the order of the backends' names.
    pub(super) models: Vec<IndexedModel>,
}

/// One model in the folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IndexedModel {
    /// The backend.
    pub(super) backend: String,
    /// Its file, beside the index.
    pub(super) file: String,
    /// Hash of the file.
    pub(super) hash: ContentHash,
}

/// Writes a network and gives its entry.
pub(super) fn keep(
    model: &TaskModel,
    folder: &OwnFolder,
    backend: &str,
    file: &str,
) -> Result<Option<IndexedModel>> {
    let TaskModel::Network(model) = model else {
        return Ok(None);
    };
    let bytes = model.to_safetensors()?;
    let path = folder.root().join(TASK_MODELS).join(file);
    folder.write(&path, &bytes)?;
    Ok(Some(IndexedModel {
        backend: backend.to_owned(),
        file: file.to_owned(),
        hash: ContentHash::of(&bytes),
    }))
}

/// Reads the task models in a folder that [`fuse`](super::fuse()) has filled, with their backends' names.
///
/// # Errors
/// A folder without them, or a file that is not the one that was written.
pub fn read_task_models(folder: &Path) -> Result<Vec<(String, Classifier)>> {
    const MAX_BYTES: u64 = 1 << 30;
    let index = folder.join(TASK_MODELS_FILE);
    let bytes = promptfed_files::read(&index, MAX_BYTES)?;
    let index: TaskModelIndex = serde_json::from_slice(&bytes).map_err(|error| Error::Output {
        file: index,
        reason: format!("not a list of task models ({error}); fuse again"),
    })?;
    let mut models = Vec::with_capacity(index.models.len());
    for model in index.models {
        let name = Path::new(&model.file);
        let path = folder.join(name.file_name().unwrap_or_default());
        let bytes = promptfed_files::read(&path, MAX_BYTES)?;
        if ContentHash::of(&bytes) != model.hash {
            return Err(Error::Output {
                file: path,
                reason: "not the model that was written here; fuse again".into(),
            });
        }
        models.push((model.backend, Classifier::from_safetensors(&bytes)?));
    }
    Ok(models)
}
