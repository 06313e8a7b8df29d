//! Weights from safetensors files, checked against what a model needs.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;

use crate::{Error, Result, WeightProblem};

/// The tensors of one file on their way into a model.
///
/// The model asks for every tensor by name and shape, then calls [`Loader::finish`], which reports
/// everything that did not fit at once. The tensors handed out before are to be used only if
/// `finish` succeeds: a missing one is filled with zeros so that the remaining ones are checked too.
pub struct Loader {
    origin: String,
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, Tensor>,
    problems: Vec<WeightProblem>,
    device: Device,
}

impl Loader {
    /// Reads a safetensors file onto `device`. f16 and bf16 tensors become f32.
    ///
    /// # Errors
    /// If the file cannot be read or is not a safetensors file.
    pub fn open(path: &Path, device: &Device) -> Result<Self> {
        Self::from_bytes(&fs_err::read(path)?, &path.display().to_string(), device)
    }

    /// Reads safetensors bytes onto `device`; `origin` names them in error messages.
    ///
    /// # Errors
    /// If the bytes are not a safetensors file.
    pub fn from_bytes(bytes: &[u8], origin: &str, device: &Device) -> Result<Self> {
        let format = |e: safetensors::SafeTensorError| Error::Format {
            origin: origin.to_owned(),
            reason: e.to_string(),
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(format)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let file = SafeTensors::deserialize(bytes).map_err(format)?;
        let mut tensors = BTreeMap::new();
        let mut problems = Vec::new();
        for (name, view) in file.tensors() {
            match to_f32(&view) {
                Some(values) if values.iter().all(|v| v.is_finite()) => {
                    let tensor = Tensor::from_vec(values, view.shape(), device)?;
                    tensors.insert(name, tensor);
                }
                Some(_) => problems.push(WeightProblem::NotFinite { name }),
                None => problems.push(WeightProblem::Type {
                    name,
                    found: format!("{:?}", view.dtype()),
                }),
            }
        }
        Ok(Self {
            origin: origin.to_owned(),
            metadata: metadata.into_iter().collect(),
            tensors,
            problems,
            device: device.clone(),
        })
    }

    /// The text entries in the header of the file.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The names of the tensors that have not been handed out yet.
    pub fn remaining(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Hands out the f32 tensor `name`, which must have `shape`.
    ///
    /// # Errors
    /// Only if memory for a placeholder is lacking: misfits are reported by [`Loader::finish`].
    pub fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        match self.tensors.remove(name) {
            Some(tensor) if tensor.dims() == shape => return Ok(tensor),
            Some(tensor) => self.problems.push(WeightProblem::Shape {
                name: name.to_owned(),
                expected: shape.to_vec(),
                found: tensor.dims().to_vec(),
            }),
            None if self.is_reported(name) => {}
            None => self.problems.push(WeightProblem::Missing {
                name: name.to_owned(),
                shape: shape.to_vec(),
            }),
        }
        Ok(Tensor::zeros(shape, DType::F32, &self.device)?)
    }

    /// Checks that every request was met and that no tensor is left over.
    ///
    /// # Errors
    /// [`Error::Mismatch`] with every missing, unknown, misshapen, mistyped or not finite tensor.
    pub fn finish(mut self) -> Result<()> {
        let unexpected = std::mem::take(&mut self.tensors).into_keys();
        self.problems
            .extend(unexpected.map(|name| WeightProblem::Unexpected { name }));
        if self.problems.is_empty() {
            return Ok(());
        }
        self.problems.sort_by(|a, b| a.name().cmp(b.name()));
        Err(Error::Mismatch {
            origin: self.origin,
            problems: self.problems,
        })
    }

    fn is_reported(&self, name: &str) -> bool {
        self.problems.iter().any(|p| p.name() == name)
    }
}

fn to_f32(view: &safetensors::tensor::TensorView<'_>) -> Option<Vec<f32>> {
    use safetensors::Dtype;
    let bytes = view.data();
    let values: Vec<f32> = match view.dtype() {
        Dtype::F32 => bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect(),
        Dtype::F16 => bytes
            .as_chunks::<2>()
            .0
            .iter()
            .map(|b| half::f16::from_le_bytes(*b).to_f32())
            .collect(),
        Dtype::BF16 => bytes
            .as_chunks::<2>()
            .0
            .iter()
            .map(|b| half::bf16::from_le_bytes(*b).to_f32())
            .collect(),
        Dtype::F64 => bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|b| f64::from_le_bytes(*b) as f32)
            .collect(),
        _ => return None,
    };
    Some(values)
}
