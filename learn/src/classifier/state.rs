//! The numbers of a classifier: initial values and exchange under PyTorch's names.

use candle_core::{Device, Tensor};
use promptfed_nn::WeightProblem;
use promptfed_nn::batch_norm::Statistics;
use promptfed_nn::noise::uniform;

use super::layout::{Entry, Layout, NormalisedConvolution, Place, Running, Trained};
use crate::{Result, WeightTensor, Weights};

/// Trained tensors and running statistics, in the places of a [`Layout`], on one device. Clones share them; nothing but
/// the optimiser changes a tensor in place.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) trained: Vec<Tensor>,
    running: Vec<Tensor>,
    device: Device,
}

impl State {
    /// PyTorch's defaults: weights and the head's bias uniform within `1 / sqrt(fan_in)`, batch
    /// normalisations the identity.
    pub(super) fn initial(layout: &Layout, seed: u64, device: &Device) -> Result<Self> {
        let [.., channels] = layout.head.maps;
        let head_bound = 1.0 / (channels as f32).sqrt();
        let mut state = Self::empty(device);
        for (i, entry) in layout.entries.iter().enumerate() {
            let values = if entry.name.ends_with("running_var") {
                vec![1.0; entry.len()]
            } else if entry.shape.len() > 1 {
                let bound = 1.0 / (entry.fan_in() as f32).sqrt();
                uniform(tensor_seed(seed, i), entry.len(), -bound, bound)
            } else if entry.name == "head.bias" {
                uniform(tensor_seed(seed, i), entry.len(), -head_bound, head_bound)
            } else if entry.name.ends_with(".weight") {
                vec![1.0; entry.len()]
            } else {
                vec![0.0; entry.len()]
            };
            state.push(entry, &values)?;
        }
        Ok(state)
    }

    fn empty(device: &Device) -> Self {
        Self {
            trained: Vec::new(),
            running: Vec::new(),
            device: device.clone(),
        }
    }

    /// Puts values in PyTorch's order into the next place of their kind.
    fn push(&mut self, entry: &Entry, values: &[f32]) -> Result<()> {
        let stored = entry.import(values);
        let tensor = Tensor::from_vec(stored, entry.stored_shape(), &self.device)?;
        match entry.place {
            Place::Trained(_) => self.trained.push(tensor),
            Place::Running(_) => self.running.push(tensor),
        }
        Ok(())
    }

    pub(super) fn export(&self, layout: &Layout) -> Result<Weights> {
        let tensor = |entry: &Entry| -> Result<WeightTensor> {
            let stored = match entry.place {
                Place::Trained(place) => self.trained(place),
                Place::Running(place) => self.running(place),
            };
            Ok(WeightTensor {
                shape: entry.shape.clone(),
                values: entry.export(&stored.flatten_all()?.to_vec1()?),
            })
        };
        let entries = layout.entries.iter();
        entries
            .map(|entry| Ok((entry.name.clone(), tensor(entry)?)))
            .collect()
    }

    /// The state with these weights.
    ///
    /// # Errors
    /// Everything in which they do not fit, in one error.
    pub(super) fn import(layout: &Layout, weights: &Weights, device: &Device) -> Result<Self> {
        let mut state = Self::empty(device);
        let mut problems = Vec::new();
        for entry in &layout.entries {
            match fitting(entry, weights) {
                Ok(found) => state.push(entry, &found.values)?,
                Err(problem) => problems.push(problem),
            }
        }
        let known = |name: &String| layout.entries.iter().any(|entry| entry.name == *name);
        let unknown = weights.keys().filter(|name| !known(name));
        problems.extend(unknown.map(|name| WeightProblem::Unexpected { name: name.clone() }));
        refuse(problems)?;
        Ok(state)
    }

    /// The trained tensors with these values, in the order of their places; others are left alone.
    ///
    /// # Errors
    /// Everything in which they do not fit, in one error.
    pub(super) fn import_trained(
        layout: &Layout,
        weights: &Weights,
        device: &Device,
    ) -> Result<Vec<Tensor>> {
        let mut state = Self::empty(device);
        let mut problems = Vec::new();
        for entry in layout.trained() {
            match fitting(entry, weights) {
                Ok(found) => state.push(entry, &found.values)?,
                Err(problem) => problems.push(problem),
            }
        }
        refuse(problems)?;
        Ok(state.trained)
    }

    /// A state with tensors of its own.
    pub(crate) fn copied(&self) -> Result<Self> {
        let copied = |tensors: &[Tensor]| -> candle_core::Result<Vec<Tensor>> {
            tensors.iter().map(Tensor::copy).collect()
        };
        Ok(Self {
            trained: copied(&self.trained)?,
            running: copied(&self.running)?,
            device: self.device.clone(),
        })
    }

    /// Where the tensors are.
    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    pub(super) fn trained(&self, place: Trained) -> &Tensor {
        &self.trained[place.0]
    }

    fn running(&self, place: Running) -> &Tensor {
        &self.running[place.0]
    }

    /// The running statistics of a layer.
    pub(super) fn statistics(&self, layer: &NormalisedConvolution) -> Statistics {
        Statistics {
            mean: self.running(layer.mean).clone(),
            variance: self.running(layer.variance).clone(),
        }
    }

    /// Replaces the running statistics of a layer.
    pub(super) fn set_statistics(&mut self, layer: &NormalisedConvolution, found: Statistics) {
        self.running[layer.mean.0] = found.mean;
        self.running[layer.variance.0] = found.variance;
    }
}

/// The values for a tensor, where they are there and fit.
fn fitting<'w>(entry: &Entry, weights: &'w Weights) -> Result<&'w WeightTensor, WeightProblem> {
    let name = || entry.name.clone();
    match weights.get(&entry.name) {
        None => Err(WeightProblem::Missing {
            name: name(),
            shape: entry.shape.clone(),
        }),
        Some(found) if found.shape != entry.shape || found.values.len() != entry.len() => {
            Err(WeightProblem::Shape {
                name: name(),
                expected: entry.shape.clone(),
                found: found.shape.clone(),
            })
        }
        Some(found) if found.values.iter().any(|v| !v.is_finite()) => {
            Err(WeightProblem::NotFinite { name: name() })
        }
        Some(found) => Ok(found),
    }
}

fn refuse(problems: Vec<WeightProblem>) -> Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    let origin = "the given weights".to_owned();
    Err(promptfed_nn::Error::Mismatch { origin, problems }.into())
}

fn tensor_seed(seed: u64, tensor: usize) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&(tensor as u64).to_le_bytes());
    bytes
}
