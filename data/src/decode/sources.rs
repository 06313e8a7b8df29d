//! Encoded pictures: files are read by the decoding threads, Parquet rows in order by the calling thread.

use std::path::{Path, PathBuf};

use parquet::data_type::ByteArray;
use promptfed_files::FileError;

use crate::picture::{Unfit, check_encoded_size};
use crate::readers::parquet::PictureRows;
use crate::{DecodeLimits, ImageSource, SkipReason};

/// Hands out pictures in sample order.
#[derive(Default)]
pub(super) struct Sources {
    rows: PictureRows,
}

/// A picture on its way to a decoding thread.
pub(super) enum Encoded {
    File(PathBuf),
    Row(ByteArray),
    Unreadable(String),
}

/// A picture's bytes.
pub(super) enum EncodedBytes {
    File(Vec<u8>),
    Row(ByteArray),
}

impl Sources {
    pub(super) fn get(&mut self, source: &ImageSource) -> Encoded {
        match source {
            ImageSource::File(path) => Encoded::File(path.clone()),
            ImageSource::Parquet {
                file,
                row_group,
                row,
            } => match self.rows.read(file, *row_group, *row) {
                Ok(Some(bytes)) => Encoded::Row(bytes),
                Ok(None) => Encoded::Unreadable("the row stores no picture bytes".to_owned()),
                Err(error) => Encoded::Unreadable(error.to_string()),
            },
        }
    }
}

impl Encoded {
    /// Bytes that wait in memory for a decoding thread.
    pub(super) fn bytes_in_memory(&self) -> u64 {
        match self {
            Encoded::Row(bytes) => bytes.len() as u64,
            Encoded::File(_) | Encoded::Unreadable(_) => 0,
        }
    }

    /// Reads the bytes; files that are too large are not read.
    pub(super) fn read(self, limits: &DecodeLimits) -> Result<EncodedBytes, Unfit> {
        match self {
            Encoded::File(path) => {
                // The size is told for files of which not a byte is read.
                if let Ok(metadata) = std::fs::metadata(&path) {
                    check_encoded_size(metadata.len(), limits)?;
                }
                promptfed_files::read(&path, limits.max_encoded_bytes)
                    .map(EncodedBytes::File)
                    .map_err(|error| unreadable(&path, error))
            }
            Encoded::Row(bytes) => Ok(EncodedBytes::Row(bytes)),
            Encoded::Unreadable(detail) => Err(Unfit::new(SkipReason::Unreadable, detail)),
        }
    }
}

fn unreadable(path: &Path, error: FileError) -> Unfit {
    match error {
        FileError::NotFound { .. } if path.is_symlink() => Unfit::new(
            SkipReason::Unreadable,
            "it is a link that leads nowhere".to_owned(),
        ),
        FileError::NotFound { .. } => {
            Unfit::new(SkipReason::Unreadable, "it is not there".to_owned())
        }
        FileError::Io(error) => Unfit::new(SkipReason::Unreadable, error.kind().to_string()),
        FileError::NotRegular { what, .. } => Unfit::new(
            SkipReason::Unreadable,
            format!("it is {what}; only regular files are read"),
        ),
        FileError::TooLarge { limit, .. } => Unfit::new(
            SkipReason::TooLarge,
            format!("more encoded bytes than the limit of {limit}"),
        ),
        other => Unfit::new(SkipReason::Unreadable, other.to_string()),
    }
}

impl AsRef<[u8]> for EncodedBytes {
    fn as_ref(&self) -> &[u8] {
        match self {
            EncodedBytes::File(bytes) => bytes,
            EncodedBytes::Row(bytes) => bytes.data(),
        }
    }
}
