//! Weights from safetensors files, checked against what a model needs.

pub mod folder;
mod low_rank;
mod source;

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};

pub use low_rank::LowRank;

use self::source::Source;
use crate::{Error, Precision, Result, WeightProblem};

/// The tensors of one file, or of the parts of one, on their way into a model.
///
/// The model asks for every tensor by name and shape, then calls [`Loader::finish`], which reports
/// everything that did not fit at once. The tensors handed out before are to be used only if
/// `finish` succeeds: a missing one is filled with zeros so that the remaining ones are checked too.
///
/// The values of a tensor stay in the file until the model asks for them, so that memory holds each
/// of them once.
pub struct Loader {
    origin: String,
    metadata: BTreeMap<String, String>,
    sources: Vec<Source>,
    entries: BTreeMap<String, Entry>,
    low_rank: BTreeMap<String, Vec<LowRank>>,
    /// Of the tensors handed out, by name.
    hashes: BTreeMap<String, blake3::Hash>,
    problems: Vec<WeightProblem>,
    device: Device,
    precision: Precision,
}

/// The number format of the activations of a model whose weights are kept in `precision`: f32 on the CPU, where a layer asks for no
/// other.
pub fn activations(precision: Precision, device: &Device) -> DType {
    match precision {
        _ if device.is_cpu() => DType::F32,
        Precision::F32 => DType::F32,
        Precision::Bf16 => DType::BF16,
        Precision::F16 => DType::F16,
    }
}

/// A tensor that has not been handed out.
struct Entry {
    shape: Vec<usize>,
    values: Values,
}

enum Values {
    /// In `sources[source]`.
    Stored {
        source: usize,
        dtype: safetensors::Dtype,
        /// Bytes after the header.
        range: (usize, usize),
    },
    Zeros,
}

impl Loader {
    /// Opens a safetensors file for a model on `device`.
    ///
    /// # Errors
    /// If the file cannot be read or is not a safetensors file.
    pub fn open(path: &Path, device: &Device) -> Result<Self> {
        Self::new(
            path.display().to_string(),
            vec![Source::open(path)?],
            device,
        )
    }

    /// Opens the parts of one model; `origin` names them together in error messages.
    ///
    /// # Errors
    /// If a file cannot be read or is not a safetensors file, or two of them hold the same tensor.
    pub fn open_parts(paths: &[impl AsRef<Path>], origin: &str, device: &Device) -> Result<Self> {
        let sources = paths
            .iter()
            .map(|path| Source::open(path.as_ref()))
            .collect::<Result<_>>()?;
        Self::new(origin.to_owned(), sources, device)
    }

    /// Reads safetensors bytes for a model on `device`; `origin` names them in error messages.
    ///
    /// # Errors
    /// If the bytes are not a safetensors file.
    pub fn from_bytes(bytes: &[u8], origin: &str, device: &Device) -> Result<Self> {
        let source = Source::from_bytes(bytes.to_vec(), origin)?;
        Self::new(origin.to_owned(), vec![source], device)
    }

    fn new(origin: String, sources: Vec<Source>, device: &Device) -> Result<Self> {
        let mut metadata = BTreeMap::new();
        let mut entries = BTreeMap::new();
        for (i, source) in sources.iter().enumerate() {
            metadata.extend(source.header().metadata().clone().unwrap_or_default());
            for (name, info) in source.header().tensors() {
                let values = Values::Stored {
                    source: i,
                    dtype: info.dtype,
                    range: info.data_offsets,
                };
                let shape = info.shape.clone();
                if entries
                    .insert(name.clone(), Entry { shape, values })
                    .is_some()
                {
                    return Err(Error::Format {
                        origin,
                        reason: format!("two of its files hold {name}"),
                    });
                }
            }
        }
        Ok(Self {
            origin,
            metadata,
            sources,
            entries,
            low_rank: BTreeMap::new(),
            hashes: BTreeMap::new(),
            problems: Vec::new(),
            device: device.clone(),
            precision: Precision::F32,
        })
    }

    /// Has the model's layers keep their weights in `precision`; [`Precision::F32`] unless told.
    #[must_use]
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// How the model's layers keep their weights.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Where the model's layers keep their weights.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// See [`activations`].
    pub fn activations(&self) -> DType {
        activations(self.precision, &self.device)
    }

    /// The text entries in the header of the file.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The names of the tensors that have not been handed out yet.
    pub fn remaining(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The shape of a tensor that has not been handed out yet.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|e| e.shape.as_slice())
    }

    /// Gives the tensors that `new_name` knows another name for that name.
    pub fn rename(&mut self, new_name: impl Fn(&str) -> Option<String>) {
        self.entries = std::mem::take(&mut self.entries)
            .into_iter()
            .map(|(name, entry)| (new_name(&name).unwrap_or(name), entry))
            .collect();
    }

    /// Drops the tensors that the model has no use for.
    pub fn ignore(&mut self, useless: impl Fn(&str) -> bool) {
        self.entries.retain(|name, _| !useless(name));
    }

    /// Stands in for a tensor of zeros that the file leaves out, such as the bias of a layer trained without.
    pub fn supply_zeros(&mut self, name: &str, shape: &[usize]) {
        self.entries.entry(name.to_owned()).or_insert(Entry {
            shape: shape.to_vec(),
            values: Values::Zeros,
        });
    }

    /// Adds a product of two small matrices to the weight `name` when it is handed out.
    ///
    /// # Errors
    /// If there is no such weight or the product has another shape.
    pub fn add_low_rank(&mut self, name: &str, product: LowRank) -> Result<()> {
        let shape = self.shape(name).unwrap_or_default();
        product.check(shape)?;
        self.low_rank
            .entry(name.to_owned())
            .or_default()
            .push(product);
        Ok(())
    }

    /// Hands out the f32 tensor `name`, which must have `shape`.
    ///
    /// # Errors
    /// If the file cannot be read or memory is lacking; misfits are reported by [`Loader::finish`].
    pub fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        match self.entries.remove(name) {
            Some(entry) if entry.shape == shape => {
                if let Some(values) = self.values(name, &entry)? {
                    return Ok(Tensor::from_vec(values, shape, &self.device)?);
                }
            }
            Some(entry) => self.problems.push(WeightProblem::Shape {
                name: name.to_owned(),
                expected: shape.to_vec(),
                found: entry.shape,
            }),
            None if self.is_reported(name) => {}
            None => self.problems.push(WeightProblem::Missing {
                name: name.to_owned(),
                shape: shape.to_vec(),
            }),
        }
        Ok(Tensor::zeros(shape, DType::F32, &self.device)?)
    }

    /// The values of an entry; `None` after noting what is wrong with them.
    fn values(&mut self, name: &str, entry: &Entry) -> Result<Option<Vec<f32>>> {
        let mut values = match entry.values {
            Values::Zeros => vec![0.0; entry.shape.iter().product()],
            Values::Stored {
                source,
                dtype,
                range,
            } => {
                let bytes = self.sources[source].read(range)?;
                let hash = hash(dtype, &entry.shape, &bytes);
                self.hashes.insert(name.to_owned(), hash);
                match source::to_f32(dtype, &bytes) {
                    Some(values) => values,
                    None => {
                        self.problems.push(WeightProblem::Type {
                            name: name.to_owned(),
                            found: format!("{dtype:?}"),
                        });
                        return Ok(None);
                    }
                }
            }
        };
        for product in self.low_rank.remove(name).unwrap_or_default() {
            product.add_to(&mut values)?;
        }
        if values.iter().any(|v| !v.is_finite()) {
            self.problems.push(WeightProblem::NotFinite {
                name: name.to_owned(),
            });
            return Ok(None);
        }
        Ok(Some(values))
    }

    /// Checks that every request was met and that no tensor is left over. Returns a hash over the names, shapes and stored
    /// bytes of the tensors handed out, the same in whatever order they were asked for and in however many files they lie.
    ///
    /// # Errors
    /// [`Error::Mismatch`] with every missing, unknown, misshapen, mistyped or not finite tensor.
    pub fn finish(mut self) -> Result<blake3::Hash> {
        let unexpected = std::mem::take(&mut self.entries).into_keys();
        self.problems
            .extend(unexpected.map(|name| WeightProblem::Unexpected { name }));
        if self.problems.is_empty() {
            let mut all = blake3::Hasher::new();
            for (name, hash) in &self.hashes {
                all.update(&(name.len() as u64).to_le_bytes());
                all.update(name.as_bytes());
                all.update(hash.as_bytes());
            }
            return Ok(all.finalize());
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

fn hash(dtype: safetensors::Dtype, shape: &[usize], bytes: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("{dtype:?} {shape:?}").as_bytes());
    hasher.update(bytes);
    hasher.finalize()
}
