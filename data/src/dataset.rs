//! What a reader returns: the list of samples, before any picture is read.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{DatasetWarning, DecodeReport, Part};

/// Domain of the samples that name none, in a data set where others name one.
pub const NO_DOMAIN: &str = "none";

/// The samples found at a path, with the names their indices stand for. Holds no pixels.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Dataset {
    /// Class names in label order.
    pub class_names: Vec<String>,
    /// Domain names in index order; empty when the layout has no domains.
    pub domain_names: Vec<String>,
    /// The samples, in an order that depends only on what is on disk.
    pub samples: Vec<Sample>,
    /// What was left out while listing, and why.
    pub warnings: Vec<DatasetWarning>,
    /// The weight of every sample in a training loss, where they differ; 0 or above, and only their ratios count.
    pub weights: Option<Vec<f32>>,
    /// The probabilities of all classes that a classifier is to give each sample, in label order, where they are not its label alone; each
    /// sample's sum to 1.
    pub targets: Option<Vec<Vec<f32>>>,
    /// What each part (level of folders, column, part of a list) was taken for, from the outermost.
    pub parts: Vec<Part>,
    /// Lists, tables and names files that were read for it.
    pub read: Vec<PathBuf>,
}

impl Dataset {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Label of every sample, in order.
    pub fn labels(&self) -> Vec<u32> {
        self.samples.iter().map(|s| s.label).collect()
    }

    /// What each part was taken for, in one line: `first level: domain (photo, sketch); second level: class (cat, dog)`.
    pub fn taken_for(&self) -> String {
        let parts: Vec<String> = self.parts.iter().map(ToString::to_string).collect();
        parts.join("; ")
    }

    /// Domain of every sample, in order; all 0 when the data set has no domains.
    pub fn domains(&self) -> Vec<u32> {
        self.samples.iter().map(|s| s.domain.unwrap_or(0)).collect()
    }

    /// The weights of the samples that were decoded, in order; none where they do not differ.
    pub fn weights_of_decoded(&self, report: &DecodeReport) -> Option<Vec<f32>> {
        let weights = self.weights.as_ref()?;
        Some(decoded(weights, report).copied().collect())
    }

    /// The targets of the samples that were decoded, `[samples, classes]` one after the other; none where they are the labels alone.
    pub fn targets_of_decoded(&self, report: &DecodeReport) -> Option<Vec<f32>> {
        let targets = self.targets.as_ref()?;
        Some(decoded(targets, report).flatten().copied().collect())
    }

    /// The samples at `indices`, with the same names and without warnings. Keep indices ascending where samples come
    /// from Parquet: rows are read forward.
    ///
    /// # Panics
    /// When an index is not below [`len`](Self::len).
    pub fn subset(&self, indices: &[usize]) -> Dataset {
        Dataset {
            class_names: self.class_names.clone(),
            domain_names: self.domain_names.clone(),
            samples: indices.iter().map(|&i| self.samples[i].clone()).collect(),
            warnings: Vec::new(),
            weights: self
                .weights
                .as_ref()
                .map(|weights| indices.iter().map(|&i| weights[i]).collect()),
            targets: self
                .targets
                .as_ref()
                .map(|targets| indices.iter().map(|&i| targets[i].clone()).collect()),
            parts: self.parts.clone(),
            read: self.read.clone(),
        }
    }
}

/// What belongs to the samples that were decoded, in order.
fn decoded<'a, T>(values: &'a [T], report: &DecodeReport) -> impl Iterator<Item = &'a T> {
    let mut skipped = report.skipped.iter().map(|s| s.sample).peekable();
    let kept = move |(sample, value): (usize, &'a T)| {
        skipped.next_if_eq(&sample).is_none().then_some(value)
    };
    values.iter().enumerate().filter_map(kept)
}

/// One labelled picture, not yet read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Index into [`Dataset::class_names`].
    pub label: u32,
    /// Index into [`Dataset::domain_names`] ([`NO_DOMAIN`] where only others name one); `Some` for every sample of a data set with domains, `None` for all others.
    pub domain: Option<u32>,
    /// Text of the caption column, where there is one.
    pub caption: Option<String>,
    /// Where the encoded picture lies.
    pub source: ImageSource,
}

/// Where an encoded picture lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ImageSource {
    /// A file of its own.
    File(PathBuf),
    /// A row of a Parquet file.
    Parquet {
        /// The Parquet file, shared by its rows.
        file: Arc<Path>,
        /// Row group, from 0.
        row_group: u32,
        /// Row inside the row group, from 0.
        row: u32,
    },
}

impl fmt::Display for ImageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImageSource::File(path) => write!(f, "{}", path.display()),
            ImageSource::Parquet {
                file,
                row_group,
                row,
            } => write!(f, "{} (row group {row_group}, row {row})", file.display()),
        }
    }
}
