//! What a reader returns: the list of samples, before any picture is read.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The samples found at a path, with the names their indices stand for. Holds no pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Class names in label order.
    pub class_names: Vec<String>,
    /// Domain names in index order; empty when the layout has no domains.
    pub domain_names: Vec<String>,
    /// The samples, in an order that depends only on what is on disk.
    pub samples: Vec<Sample>,
    /// What was left out while listing, and why.
    pub warnings: Vec<DatasetWarning>,
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

    /// Domain of every sample, in order; all 0 when the data set has no domains.
    pub fn domains(&self) -> Vec<u32> {
        self.samples.iter().map(|s| s.domain.unwrap_or(0)).collect()
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
        }
    }
}

/// One labelled picture, not yet read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Index into [`Dataset::class_names`].
    pub label: u32,
    /// Index into [`Dataset::domain_names`]; `Some` for every sample of a data set with domains, `None` for all others.
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

/// Something a reader left out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DatasetWarning {
    /// A folder or class that is not in [`OpenOptions::label_space`](crate::OpenOptions::label_space).
    ClassNotListed {
        /// The class as the data calls it.
        class: String,
        /// Samples left out with it.
        samples: usize,
    },
    /// A folder in which no picture lies where the layout expects one.
    FolderIgnored {
        /// The folder.
        path: PathBuf,
    },
    /// Parquet rows without a label (null or -1) or without a domain.
    RowsWithout {
        /// The column that is null.
        column: String,
        /// The Parquet file.
        file: PathBuf,
        /// Rows left out.
        rows: usize,
    },
}

impl fmt::Display for DatasetWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DatasetWarning::ClassNotListed { class, samples } => {
                write!(
                    f,
                    "class `{class}` is not in the label space: {samples} samples left out"
                )
            }
            DatasetWarning::FolderIgnored { path } => {
                write!(
                    f,
                    "{} holds no pictures where this layout has them: left out",
                    path.display()
                )
            }
            DatasetWarning::RowsWithout { column, file, rows } => {
                write!(
                    f,
                    "{}: {rows} rows without `{column}` left out",
                    file.display()
                )
            }
        }
    }
}
