//! Parquet files with the Hugging Face hub's columns.
//!
//! | column | type |
//! |---|---|
//! | `image` (or `img`) | struct `{bytes, path}`, or binary |
//! | `label` (or `labels`, `fine_label`) | integer, named by the `ClassLabel` in the `huggingface` metadata where it is there; or string |
//! | `domain` | optional; string or `ClassLabel` |
//! | `caption` (or `text`) | optional; string |
//!
//! Listing reads the small columns alone; pictures are read row by row when they are decoded, a page at a time.

mod columns;
mod picture_rows;
mod shards;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::listing::{ClassOrder, Listing};
use crate::{DataError, DatasetWarning, ImageSource, Result};
use columns::{Columns, Names, Values};
pub(crate) use picture_rows::PictureRows;
pub(crate) use shards::{choose_shards, is_parquet};

/// Adds the rows of `files`, all shards of one split. Rows without label (null, or the hub's -1) or without domain are
/// left out with a warning.
///
/// # Errors
/// When a file is damaged, lacks the image or label column, or names other classes than the shards before it.
pub(crate) fn read(files: &[PathBuf], listing: &mut Listing) -> Result<ClassOrder> {
    let mut shards = Vec::with_capacity(files.len());
    for file in files {
        let shard = surviving_panics(file, || Shard::read(file))?;
        if let Some(first) = shards.first() {
            shard.check_fits(first)?;
        }
        shards.push(shard);
    }
    let order = add_classes(&shards, listing);
    for shard in &shards {
        shard.add_rows(listing)?;
    }
    Ok(order)
}

/// The small columns of one file.
struct Shard {
    file: Arc<Path>,
    columns: Columns,
    row_groups: Vec<RowGroup>,
}

struct RowGroup {
    labels: Values,
    domains: Option<Values>,
    captions: Option<Values>,
}

impl Shard {
    fn read(path: &Path) -> Result<Self> {
        let reader = open(path)?;
        let columns = Columns::find(path, reader.metadata())?;
        let mut row_groups = Vec::with_capacity(reader.num_row_groups());
        for i in 0..reader.num_row_groups() {
            let group = reader.get_row_group(i).map_err(|e| damaged(path, e))?;
            let column = |index: usize| columns::read_column(path, group.as_ref(), index);
            row_groups.push(RowGroup {
                labels: column(columns.label)?,
                domains: columns.domain.map(column).transpose()?,
                captions: columns.caption.map(column).transpose()?,
            });
        }
        Ok(Self {
            file: path.into(),
            columns,
            row_groups,
        })
    }

    fn check_fits(&self, first: &Shard) -> Result<()> {
        if self.columns.label_names == first.columns.label_names {
            return Ok(());
        }
        Err(DataError::Parquet {
            path: self.file.to_path_buf(),
            reason: format!(
                "its `huggingface` metadata names other classes than {}; open the files one by one",
                first.file.display()
            ),
        })
    }

    fn add_rows(&self, listing: &mut Listing) -> Result<()> {
        let mut without_label = 0;
        let mut without_domain = 0;
        for (group, columns) in self.row_groups.iter().enumerate() {
            for row in 0..columns.labels.len() {
                let label = self.name(group, row, &columns.labels, &self.columns.label_names)?;
                let Some(label) = label else {
                    without_label += 1;
                    continue;
                };
                let domain = match &columns.domains {
                    Some(domains) => {
                        match self.name(group, row, domains, &self.columns.domain_names)? {
                            Some(domain) => Some(listing.domain(&domain)),
                            None => {
                                without_domain += 1;
                                continue;
                            }
                        }
                    }
                    None => None,
                };
                let caption = columns.captions.as_ref().and_then(|c| c.text(row));
                let class = listing.class(&label);
                let source = ImageSource::Parquet {
                    file: self.file.clone(),
                    row_group: group as u32,
                    row: row as u32,
                };
                listing.push(class, domain, caption, source);
            }
        }
        for (column, rows) in [("label", without_label), ("domain", without_domain)] {
            if rows > 0 {
                listing.warn(DatasetWarning::RowsWithout {
                    column: column.to_owned(),
                    file: self.file.to_path_buf(),
                    rows,
                });
            }
        }
        Ok(())
    }

    /// The class or domain of a row as text; `None` when the row has none.
    fn name(
        &self,
        group: usize,
        row: usize,
        values: &Values,
        names: &Option<Names>,
    ) -> Result<Option<String>> {
        let id = match values {
            Values::Texts(texts) => return Ok(texts[row].clone()),
            Values::Integers(ids) => ids[row],
        };
        match (id, names) {
            (None | Some(-1), _) => Ok(None),
            (Some(id), None) => Ok(Some(id.to_string())),
            (Some(id), Some(names)) => usize::try_from(id)
                .ok()
                .and_then(|i| names.get(i).cloned())
                .map(Some)
                .ok_or_else(|| DataError::Parquet {
                    path: self.file.to_path_buf(),
                    reason: format!(
                        "row {row} of row group {group} has label {id}, but its `huggingface` metadata names {} classes",
                        names.len()
                    ),
                }),
        }
    }
}

/// Adds the classes in the order that their labels have: the metadata's, else by id, else by name.
fn add_classes(shards: &[Shard], listing: &mut Listing) -> ClassOrder {
    if let Some(names) = shards.first().and_then(|s| s.columns.label_names.as_ref()) {
        for name in names {
            listing.class(name);
        }
        return ClassOrder::AsAdded;
    }
    let mut ids: BTreeSet<i64> = BTreeSet::new();
    for group in shards.iter().flat_map(|s| &s.row_groups) {
        match &group.labels {
            Values::Texts(_) => return ClassOrder::ByName,
            Values::Integers(labels) => ids.extend(labels.iter().flatten().filter(|&&id| id != -1)),
        }
    }
    for id in ids {
        listing.class(&id.to_string());
    }
    ClassOrder::AsAdded
}

/// Opens a file and reads its metadata.
fn open(path: &Path) -> Result<SerializedFileReader<std::fs::File>> {
    let (file, _) = fs_err::File::open(path)?.into_parts();
    SerializedFileReader::new(file).map_err(|e| damaged(path, e))
}

/// Runs a reader of damaged files: the Parquet library asserts some of what metadata promises.
fn surviving_panics<T>(path: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(DataError::Parquet {
            path: path.to_owned(),
            reason: "not a readable Parquet file (its metadata contradicts itself)".to_owned(),
        })
    })
}

fn damaged(path: &Path, error: parquet::errors::ParquetError) -> DataError {
    DataError::Parquet {
        path: path.to_owned(),
        reason: format!("not a readable Parquet file ({error})"),
    }
}
