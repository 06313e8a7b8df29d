//! Parquet files with the Hugging Face hub's columns.
//!
//! | column | type |
//! |---|---|
//! | `image` (or `img`) | struct `{bytes, path}`, or binary |
//! | `label` (or `class`, `labels`, `fine_label`, ...) | integer, named by the `ClassLabel` in the `huggingface` metadata where it is there; or string |
//! | `domain` | optional; string or `ClassLabel`; rows without one are a domain of their own where others have one |
//! | `caption` (or `text`) | optional; string |
//! | `split` (or `subset`, `partition`) | optional; string or `ClassLabel`; one split is read |
//!
//! Listing reads the small columns alone; pictures are read row by row when they are decoded, a page at a time.

mod columns;
mod picture_rows;
mod shards;

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::class_names::ClassNames;
use crate::listing::{ClassOrder, Listing};
use crate::part::{Meaning, Part};
use crate::readers::table::{Header, Table};
use crate::{DataError, DatasetWarning, ImageSource, Result, split_names};
use columns::{Columns, Names, Values};
pub(crate) use picture_rows::PictureRows;
pub(crate) use shards::{choose_shards, is_parquet};

/// Which split of `path` to read: the one that names of files told, or else the wanted one of a column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SplitOf<'a> {
    pub(crate) path: &'a Path,
    pub(crate) by_name: Option<&'a str>,
    pub(crate) wanted: Option<&'a str>,
}

/// Adds the rows of `files`, all shards of one split. Rows without label (null, empty, or the hub's -1) are left out with a
/// warning. Labels that are numbers without names get those of a names file.
///
/// # Errors
/// When a file is damaged, lacks the image or label column, names other classes than the shards before it, or a column tells
/// several splits and none is wanted.
pub(crate) fn read(
    files: &[PathBuf],
    split: SplitOf<'_>,
    names: &ClassNames,
    listing: &mut Listing,
) -> Result<ClassOrder> {
    let mut shards = Vec::with_capacity(files.len());
    for file in files {
        let shard = surviving_panics(file, || Shard::read(file))?;
        if let Some(first) = shards.first() {
            shard.check_fits(first)?;
        }
        shards.push(shard);
    }
    let (order, ids) = add_classes(&shards, names, listing);
    let split = choose_rows(&shards, split)?;
    if let Some(split) = &split {
        let name = shards.iter().find_map(|shard| shard.columns.called[3]);
        listing.part(Part::new(
            format!("column `{}`", name.unwrap_or("split")),
            Meaning::Split,
            [split.as_str()],
        ));
    }
    for shard in &shards {
        shard.add_rows(&ids, split.as_deref(), listing)?;
    }
    tell_unused(&shards, listing);
    if let Some(first) = shards.first() {
        let column = |index: usize| first.columns.called[index].map(|c| format!("column `{c}`"));
        if let Some(place) = column(1).filter(|_| listing.has_domains()) {
            listing.part(Part::new(place, Meaning::Domain, []));
        }
        if let Some(place) = column(2) {
            listing.part(Part::new(place, Meaning::Caption, []));
        }
        listing.class_part(column(0).unwrap_or_default());
    }
    Ok(order)
}

/// Names the columns that are not used, once for all shards that have the same.
fn tell_unused(shards: &[Shard], listing: &mut Listing) {
    let mut told: Vec<&[String]> = Vec::new();
    for shard in shards {
        let unused = shard.columns.unused.as_slice();
        if !unused.is_empty() && !shard.is_of_a_job && !told.contains(&unused) {
            told.push(unused);
            listing.warn(DatasetWarning::ColumnsNotUsed {
                path: shard.file.to_path_buf(),
                columns: unused.to_vec(),
            });
        }
    }
}

/// Whether a file has a column of pictures. A file that cannot be read counts as one that has, so that its fault is told.
pub(crate) fn has_pictures(path: &Path) -> bool {
    let read = || Ok(columns::has_pictures(open(path)?.metadata()));
    surviving_panics(path, read).unwrap_or(true)
}

/// Reads a table of captions or labels; `None` where it has no column of file names with labels or captions.
///
/// # Errors
/// When the file is damaged.
pub(crate) fn read_table(path: &Path) -> Result<Option<Table>> {
    surviving_panics(path, || {
        let reader = open(path)?;
        let schema = reader.metadata().file_metadata().schema_descr_ptr();
        let names: Vec<String> = schema.columns().iter().map(|c| c.path().string()).collect();
        let Some(header) = Header::find(&names) else {
            return Ok(None);
        };
        let mut rows = Vec::new();
        for i in 0..reader.num_row_groups() {
            let group = reader.get_row_group(i).map_err(|e| damaged(path, e))?;
            let mut cells: Vec<Option<Values>> = Vec::new();
            for index in 0..names.len() {
                cells.push(match header.uses(index) {
                    true => Some(columns::read_column(path, group.as_ref(), index)?),
                    false => None,
                });
            }
            let count = cells.iter().flatten().map(Values::len).max().unwrap_or(0);
            for row in 0..count {
                let texts: Vec<Option<String>> = cells
                    .iter()
                    .map(|values| values.as_ref()?.written(row))
                    .collect();
                rows.extend(header.row(rows.len() + 1, |i| texts.get(i)?.as_deref()));
            }
        }
        Ok(Some(header.table(rows, header.unused(&names))))
    })
}

/// The small columns of one file.
struct Shard {
    file: Arc<Path>,
    columns: Columns,
    /// Whether a synthesis job wrote it, which keeps of each image how it was made.
    is_of_a_job: bool,
    row_groups: Vec<RowGroup>,
}

struct RowGroup {
    labels: Values,
    domains: Option<Values>,
    captions: Option<Values>,
    splits: Option<Values>,
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
                splits: columns.split.map(column).transpose()?,
            });
        }
        let writer = reader.metadata().file_metadata().created_by();
        Ok(Self {
            file: path.into(),
            columns,
            is_of_a_job: writer.is_some_and(|writer| writer.starts_with("promptfed ")),
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

    /// The split that a row's own column tells.
    fn split(&self, group: usize, row: usize) -> Result<Option<String>> {
        match &self.row_groups[group].splits {
            Some(splits) => self.name(group, row, splits, &self.columns.split_names),
            None => Ok(None),
        }
    }

    /// Adds the rows of a split, or all rows.
    fn add_rows(
        &self,
        ids: &HashMap<i64, u32>,
        split: Option<&str>,
        listing: &mut Listing,
    ) -> Result<()> {
        let mut without_label = 0;
        let mut without_split = 0;
        for (group, columns) in self.row_groups.iter().enumerate() {
            for row in 0..columns.labels.len() {
                if split.is_some() {
                    let own = self.split(group, row)?;
                    without_split += usize::from(own.is_none());
                    if own.as_deref() != split {
                        continue;
                    }
                }
                let class = match columns.labels.id(row).and_then(|id| ids.get(&id)) {
                    Some(&class) => class,
                    None => {
                        let label =
                            self.name(group, row, &columns.labels, &self.columns.label_names)?;
                        let Some(label) = label else {
                            without_label += 1;
                            continue;
                        };
                        listing.class(&label)
                    }
                };
                let domain = match &columns.domains {
                    Some(domains) => self.name(group, row, domains, &self.columns.domain_names)?,
                    None => None,
                };
                let domain = domain.map(|domain| listing.domain(&domain));
                let caption = columns.captions.as_ref().and_then(|c| c.text(row));
                let source = ImageSource::Parquet {
                    file: self.file.clone(),
                    row_group: group as u32,
                    row: row as u32,
                };
                listing.push(class, domain, caption, source);
            }
        }
        let [label, _, _, split] = self.columns.called;
        for (column, rows) in [(label, without_label), (split, without_split)] {
            if let (Some(column), 1..) = (column, rows) {
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
            Values::Texts(texts) => {
                return Ok(texts[row].clone().filter(|text| !text.trim().is_empty()));
            }
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

/// The split whose rows are read; `None` where no column tells any.
fn choose_rows(shards: &[Shard], split: SplitOf<'_>) -> Result<Option<String>> {
    let mut splits = BTreeSet::new();
    for shard in shards {
        for (group, columns) in shard.row_groups.iter().enumerate() {
            for row in 0..columns.splits.as_ref().map_or(0, Values::len) {
                splits.extend(shard.split(group, row)?);
            }
        }
    }
    match split.by_name {
        Some(name) => Ok(splits.into_iter().find(|s| s.eq_ignore_ascii_case(name))),
        None => split_names::choose(split.path, splits, split.wanted),
    }
}

/// Adds the classes in the order that their labels have: the metadata's, else by id, else by name. Also returns the class of
/// every id, where labels are numbers without names in the files themselves.
fn add_classes(
    shards: &[Shard],
    names: &ClassNames,
    listing: &mut Listing,
) -> (ClassOrder, HashMap<i64, u32>) {
    if let Some(names) = shards.first().and_then(|s| s.columns.label_names.as_ref()) {
        for name in names {
            listing.class(name);
        }
        return (ClassOrder::AsAdded, HashMap::new());
    }
    let mut ids: BTreeSet<i64> = BTreeSet::new();
    for group in shards.iter().flat_map(|s| &s.row_groups) {
        match &group.labels {
            Values::Texts(_) => return (ClassOrder::ByName, HashMap::new()),
            Values::Integers(labels) => ids.extend(labels.iter().flatten().filter(|&&id| id != -1)),
        }
    }
    let named = names.of_ids(&ids);
    let class = |id: i64| {
        let name = named.as_ref().and_then(|n| n.get(&id));
        (
            id,
            listing.named_class(&id.to_string(), name.map(String::as_str)),
        )
    };
    (ClassOrder::AsAdded, ids.into_iter().map(class).collect())
}

/// Opens a file and reads its metadata.
fn open(path: &Path) -> Result<SerializedFileReader<std::fs::File>> {
    let (file, _) = promptfed_files::open_regular(path)?.into_parts();
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
