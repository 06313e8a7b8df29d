//! Which columns hold what, and reading the small ones whole.

use std::path::Path;

use parquet::basic::Type;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType, DataType};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::RowGroupReader;

use super::damaged;
use crate::readers::column_names::{CAPTION, DOMAIN, LABEL, SPLIT};
use crate::{DataError, Result};

/// Names of a `ClassLabel`, by id.
pub(super) type Names = Vec<String>;

/// Columns that hold pictures.
const IMAGES: [&str; 4] = ["image.bytes", "image", "img.bytes", "img"];

/// Rows read at a time.
const BATCH: usize = 4096;

/// Leaf indices of the columns that are used.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) image: usize,
    pub(super) label: usize,
    pub(super) label_names: Option<Names>,
    pub(super) domain: Option<usize>,
    pub(super) domain_names: Option<Names>,
    pub(super) caption: Option<usize>,
    pub(super) split: Option<usize>,
    pub(super) split_names: Option<Names>,
    /// What the columns of labels, domains, captions and splits are called.
    pub(super) called: [Option<&'static str>; 4],
    /// Columns that mean nothing here.
    pub(super) unused: Vec<String>,
}

/// A small column, null where a row has no value.
#[derive(Debug)]
pub(super) enum Values {
    Integers(Vec<Option<i64>>),
    Texts(Vec<Option<String>>),
}

impl Values {
    pub(super) fn len(&self) -> usize {
        match self {
            Values::Integers(values) => values.len(),
            Values::Texts(values) => values.len(),
        }
    }

    /// The number of a row, in a column of numbers.
    pub(super) fn id(&self, row: usize) -> Option<i64> {
        match self {
            Values::Integers(values) => values[row],
            Values::Texts(_) => None,
        }
    }

    /// The value of a row as text, whatever the column holds.
    pub(super) fn written(&self, row: usize) -> Option<String> {
        match self {
            Values::Integers(values) => values.get(row)?.map(|v| v.to_string()),
            Values::Texts(values) => values.get(row)?.clone(),
        }
    }

    pub(super) fn text(&self, row: usize) -> Option<String> {
        match self {
            Values::Integers(_) => None,
            Values::Texts(values) => values[row].clone(),
        }
    }
}

impl Columns {
    /// Finds the columns by name and type.
    pub(super) fn find(path: &Path, metadata: &ParquetMetaData) -> Result<Self> {
        let leaves = metadata.file_metadata().schema_descr().columns();
        let find = |names: &[&'static str], types: &[Type]| {
            names.iter().find_map(|name| {
                let index = leaves.iter().position(|leaf| {
                    leaf.path().string() == *name
                        && leaf.max_rep_level() == 0
                        && types.contains(&leaf.physical_type())
                })?;
                Some((*name, index))
            })
        };
        let missing = |what: &str| {
            let found: Vec<String> = leaves
                .iter()
                .map(|leaf| format!("{}: {}", leaf.path().string(), leaf.physical_type()))
                .collect();
            DataError::Parquet {
                path: path.to_owned(),
                reason: format!("no {what}; its columns are {}", found.join(", ")),
            }
        };
        let image = find(&IMAGES, &[Type::BYTE_ARRAY])
            .ok_or_else(|| missing("column `image` with `bytes`, or of type binary"))?;
        const NAMES: [Type; 3] = [Type::INT32, Type::INT64, Type::BYTE_ARRAY];
        let label = find(&LABEL, &NAMES)
            .ok_or_else(|| missing("column `label` of type integer or string"))?;
        let domain = find(&DOMAIN, &NAMES);
        let caption = find(&CAPTION, &[Type::BYTE_ARRAY]);
        let split = find(&SPLIT, &NAMES);
        let used: Vec<usize> = [Some(image), Some(label), domain, caption, split]
            .into_iter()
            .flatten()
            .map(|(_, index)| index)
            .collect();
        let top = |index: usize| leaves[index].path().parts().first();
        let mut unused: Vec<String> = Vec::new();
        for name in (0..leaves.len()).filter_map(top) {
            // A picture's own name beside its bytes is no column.
            let is_used = used.iter().any(|&index| top(index) == Some(name));
            if !is_used && !unused.contains(name) {
                unused.push(name.clone());
            }
        }
        let is_integer = |index: usize| leaves[index].physical_type() != Type::BYTE_ARRAY;
        let names = |(name, index): (&str, usize)| {
            if is_integer(index) {
                class_label(path, metadata, name)
            } else {
                Ok(None)
            }
        };
        Ok(Self {
            image: image.1,
            label: label.1,
            label_names: names(label)?,
            domain: domain.map(|d| d.1),
            domain_names: domain.map(names).transpose()?.flatten(),
            caption: caption.map(|c| c.1),
            split: split.map(|s| s.1),
            split_names: split.map(names).transpose()?.flatten(),
            called: [Some(label), domain, caption, split].map(|column| column.map(|c| c.0)),
            unused,
        })
    }
}

/// Whether a file has a column of pictures.
pub(super) fn has_pictures(metadata: &ParquetMetaData) -> bool {
    let leaves = metadata.file_metadata().schema_descr().columns();
    leaves.iter().any(|leaf| {
        IMAGES.contains(&leaf.path().string().as_str()) && leaf.physical_type() == Type::BYTE_ARRAY
    })
}

/// Names of the column's `ClassLabel` in the key-value metadata `huggingface`, a JSON text.
fn class_label(path: &Path, metadata: &ParquetMetaData, column: &str) -> Result<Option<Names>> {
    let entries = metadata.file_metadata().key_value_metadata();
    let Some(json) = entries
        .into_iter()
        .flatten()
        .find(|entry| entry.key == "huggingface")
        .and_then(|entry| entry.value.as_deref())
    else {
        return Ok(None);
    };
    let malformed = |reason: String| DataError::Parquet {
        path: path.to_owned(),
        reason: format!("its `huggingface` metadata is malformed: {reason}"),
    };
    let json: serde_json::Value =
        serde_json::from_str(json).map_err(|e| malformed(e.to_string()))?;
    let feature = &json["info"]["features"][column];
    if feature["_type"] != "ClassLabel" {
        return Ok(None);
    }
    let names: Names = serde_json::from_value(feature["names"].clone())
        .map_err(|e| malformed(format!("names of `{column}`: {e}")))?;
    for (i, name) in names.iter().enumerate() {
        if names[..i].contains(name) {
            return Err(malformed(format!("`{column}` has two classes `{name}`")));
        }
    }
    Ok(Some(names))
}

/// Reads a whole column of a row group.
pub(super) fn read_column(path: &Path, group: &dyn RowGroupReader, index: usize) -> Result<Values> {
    let column = group
        .get_column_reader(index)
        .map_err(|e| damaged(path, e))?;
    let descriptor = group.metadata().schema_descr().column(index);
    let max_definition = descriptor.max_def_level();
    let (values, rows) = match column {
        ColumnReader::Int32ColumnReader(reader) => {
            let values = read_values(path, reader, max_definition, |v| Ok(i64::from(v)))?;
            let rows = values.len();
            (Values::Integers(values), rows)
        }
        ColumnReader::Int64ColumnReader(reader) => {
            let values = read_values(path, reader, max_definition, Ok)?;
            let rows = values.len();
            (Values::Integers(values), rows)
        }
        ColumnReader::ByteArrayColumnReader(reader) => {
            let name = descriptor.path().string();
            let values = read_values(path, reader, max_definition, |v: ByteArray| {
                let text = v.as_utf8().map_err(|_| DataError::Parquet {
                    path: path.to_owned(),
                    reason: format!("column `{name}` holds text that is not UTF-8"),
                })?;
                Ok(text.to_owned())
            })?;
            let rows = values.len();
            (Values::Texts(values), rows)
        }
        _ => {
            return Err(DataError::Parquet {
                path: path.to_owned(),
                reason: format!(
                    "column `{}` is neither integer nor text",
                    descriptor.path().string()
                ),
            });
        }
    };
    if i64::try_from(rows) != Ok(group.metadata().num_rows()) {
        return Err(DataError::Parquet {
            path: path.to_owned(),
            reason: format!(
                "column `{}` ends after {rows} of {} rows; the file is damaged",
                descriptor.path().string(),
                group.metadata().num_rows()
            ),
        });
    }
    Ok(values)
}

fn read_values<T: DataType, V>(
    path: &Path,
    mut reader: ColumnReaderImpl<T>,
    max_definition: i16,
    convert: impl Fn(T::T) -> Result<V>,
) -> Result<Vec<Option<V>>> {
    let mut rows = Vec::new();
    let mut definitions = Vec::new();
    let mut values = Vec::new();
    loop {
        definitions.clear();
        values.clear();
        let (records, _, _) = reader
            .read_records(BATCH, Some(&mut definitions), None, &mut values)
            .map_err(|e| damaged(path, e))?;
        if records == 0 {
            return Ok(rows);
        }
        let mut present = values.drain(..);
        for row in 0..records {
            // A column without nulls has no definition levels.
            let is_present = max_definition == 0 || definitions.get(row) == Some(&max_definition);
            rows.push(match is_present {
                true => present.next().map(&convert).transpose()?,
                false => None,
            });
        }
    }
}

/// A reader of one column of one row group, for pictures.
pub(super) fn byte_column(
    path: &Path,
    group: &dyn RowGroupReader,
    index: usize,
) -> Result<ColumnReaderImpl<ByteArrayType>> {
    match group
        .get_column_reader(index)
        .map_err(|e| damaged(path, e))?
    {
        ColumnReader::ByteArrayColumnReader(reader) => Ok(reader),
        _ => Err(DataError::Parquet {
            path: path.to_owned(),
            reason: "the image column is not binary".to_owned(),
        }),
    }
}
