//! Reading pictures row by row, a page at a time.

use std::path::Path;
use std::sync::Arc;

use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::columns::{Columns, byte_column};
use super::{damaged, open, surviving_panics};
use crate::{DataError, Result};

/// Encoded pictures of Parquet rows. Fast as long as rows are asked for in ascending order; going back reads the row
/// group from its start again.
#[derive(Default)]
pub(crate) struct PictureRows {
    file: Option<OpenFile>,
}

struct OpenFile {
    path: Arc<Path>,
    reader: SerializedFileReader<std::fs::File>,
    image_column: usize,
    group: Option<OpenGroup>,
}

struct OpenGroup {
    index: u32,
    column: ColumnReaderImpl<ByteArrayType>,
    next_row: u32,
}

impl PictureRows {
    /// The encoded picture of a row; `None` when it is null, as when the hub only stores a path.
    pub(crate) fn read(
        &mut self,
        path: &Arc<Path>,
        group: u32,
        row: u32,
    ) -> Result<Option<ByteArray>> {
        let result = surviving_panics(path, || self.try_read(path, group, row));
        if result.is_err() {
            // After an error the column's position is unknown.
            self.file = None;
        }
        result
    }

    fn try_read(&mut self, path: &Arc<Path>, group: u32, row: u32) -> Result<Option<ByteArray>> {
        let file = match &mut self.file {
            Some(file) if file.path == *path => file,
            file => file.insert(OpenFile::new(path)?),
        };
        let image_column = file.image_column;
        let column = match &mut file.group {
            Some(open) if open.index == group && open.next_row <= row => open,
            open => {
                let reader = file
                    .reader
                    .get_row_group(group as usize)
                    .map_err(|e| damaged(path, e))?;
                open.insert(OpenGroup {
                    index: group,
                    column: byte_column(path, reader.as_ref(), image_column)?,
                    next_row: 0,
                })
            }
        };
        let ahead = (row - column.next_row) as usize;
        let skipped = column
            .column
            .skip_records(ahead)
            .map_err(|e| damaged(path, e))?;
        let mut definitions = Vec::with_capacity(1);
        let mut values = Vec::with_capacity(1);
        let (records, _, _) = column
            .column
            .read_records(1, Some(&mut definitions), None, &mut values)
            .map_err(|e| damaged(path, e))?;
        if skipped != ahead || records != 1 {
            return Err(DataError::Parquet {
                path: path.to_path_buf(),
                reason: format!("the image column ends before row {row} of row group {group}"),
            });
        }
        column.next_row = row + 1;
        Ok(values.pop())
    }
}

impl OpenFile {
    fn new(path: &Arc<Path>) -> Result<Self> {
        let reader = open(path)?;
        let image_column = Columns::find(path, reader.metadata())?.image;
        Ok(Self {
            path: path.clone(),
            reader,
            image_column,
            group: None,
        })
    }
}
