//! The numbers of a classifier: initial values and exchange under PyTorch's names.

use promptfed_nn::WeightProblem;
use promptfed_nn::noise::uniform;

use super::layout::{Entry, Layout, Store};
use crate::{WeightTensor, Weights};

/// Trained values and running statistics, in the order of a [`Layout`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    pub(crate) trained: Vec<f32>,
    pub(crate) statistics: Vec<f32>,
}

impl State {
    /// PyTorch's defaults: weights and the head's bias uniform within `1 / sqrt(fan_in)`, batch
    /// normalisations the identity.
    pub(super) fn initial(layout: &Layout, seed: u64) -> Self {
        let mut state = Self {
            trained: vec![0.0; layout.trained_len],
            statistics: vec![0.0; layout.statistics_len],
        };
        let head_bound = 1.0 / (layout.head.channels as f32).sqrt();
        for (i, entry) in layout.entries.iter().enumerate() {
            let values = if entry.name.ends_with("running_var") {
                vec![1.0; entry.range.len()]
            } else if entry.shape.len() > 1 {
                let bound = 1.0 / (entry.fan_in() as f32).sqrt();
                uniform(tensor_seed(seed, i), entry.range.len(), -bound, bound)
            } else if entry.name == "head.bias" {
                let n = entry.range.len();
                uniform(tensor_seed(seed, i), n, -head_bound, head_bound)
            } else if entry.name.ends_with(".weight") {
                vec![1.0; entry.range.len()]
            } else {
                vec![0.0; entry.range.len()]
            };
            entry.import(&values, state.array_mut(entry));
        }
        state
    }

    pub(super) fn export(&self, layout: &Layout) -> Weights {
        let tensor = |entry: &Entry| WeightTensor {
            shape: entry.shape.clone(),
            values: entry.export(self.array(entry)),
        };
        let entries = layout.entries.iter();
        entries
            .map(|entry| (entry.name.clone(), tensor(entry)))
            .collect()
    }

    /// The state with these weights, or everything in which they do not fit.
    pub(super) fn import(layout: &Layout, weights: &Weights) -> Result<Self, Vec<WeightProblem>> {
        let mut state = Self {
            trained: vec![0.0; layout.trained_len],
            statistics: vec![0.0; layout.statistics_len],
        };
        let mut problems = Vec::new();
        for entry in &layout.entries {
            match weights.get(&entry.name) {
                None => problems.push(WeightProblem::Missing {
                    name: entry.name.clone(),
                    shape: entry.shape.clone(),
                }),
                Some(found)
                    if found.shape != entry.shape || found.values.len() != entry.range.len() =>
                {
                    problems.push(WeightProblem::Shape {
                        name: entry.name.clone(),
                        expected: entry.shape.clone(),
                        found: found.shape.clone(),
                    });
                }
                Some(found) if found.values.iter().any(|v| !v.is_finite()) => {
                    problems.push(WeightProblem::NotFinite {
                        name: entry.name.clone(),
                    });
                }
                Some(found) => entry.import(&found.values, state.array_mut(entry)),
            }
        }
        let known = |name: &String| layout.entries.iter().any(|entry| entry.name == *name);
        let unknown = weights.keys().filter(|name| !known(name));
        problems.extend(unknown.map(|name| WeightProblem::Unexpected { name: name.clone() }));
        if problems.is_empty() {
            Ok(state)
        } else {
            Err(problems)
        }
    }

    fn array(&self, entry: &Entry) -> &[f32] {
        match entry.store {
            Store::Trained => &self.trained,
            Store::Statistics => &self.statistics,
        }
    }

    fn array_mut(&mut self, entry: &Entry) -> &mut [f32] {
        match entry.store {
            Store::Trained => &mut self.trained,
            Store::Statistics => &mut self.statistics,
        }
    }
}

fn tensor_seed(seed: u64, tensor: usize) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&(tensor as u64).to_le_bytes());
    bytes
}
