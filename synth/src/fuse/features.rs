//! Rows of numbers of all candidates, in a file: memory does not grow with the number of images.

use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::Result;

/// Rows of `width` f32 values, one for each candidate, little-endian.
///
/// A file that a kill cut short is gone on with from its last whole row.
#[derive(Debug)]
pub struct FeatureFile {
    path: PathBuf,
    width: usize,
}

impl FeatureFile {
    /// The file at `path`, which may not be there yet.
    pub fn at(path: &Path, width: usize) -> Self {
        Self {
            path: path.to_owned(),
            width: width.max(1),
        }
    }

    /// A file of these rows.
    #[cfg(test)]
    pub(crate) fn of(path: &Path, width: usize, values: &[f32]) -> Result<Self> {
        let file = Self::at(path, width);
        file.append(0, values)?;
        Ok(file)
    }

    /// The same file once more.
    pub(super) fn reopened(&self) -> Self {
        Self::at(&self.path, self.width)
    }

    /// Values of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Whole rows that are there.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn rows(&self) -> Result<usize> {
        match fs_err::metadata(&self.path) {
            Ok(metadata) => Ok((metadata.len() / self.row_bytes()) as usize),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes rows behind the first `rows` rows; what stood there goes.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn append(&self, rows: usize, values: &[f32]) -> Result<()> {
        let mut options = fs_err::OpenOptions::new();
        let mut file = options
            .create(true)
            .truncate(false)
            .write(true)
            .open(&self.path)?;
        file.set_len(rows as u64 * self.row_bytes())?;
        file.seek(SeekFrom::End(0))?;
        let mut writer = BufWriter::new(file);
        for value in values {
            writer.write_all(&value.to_le_bytes())?;
        }
        writer.flush()?;
        writer.get_ref().sync_data()?;
        Ok(())
    }

    /// Hands every row to `on_row` with its index, in order.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn each_row(&self, mut on_row: impl FnMut(usize, &[f32])) -> Result<()> {
        let file = fs_err::File::open(&self.path)?;
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut row = vec![0.0; self.width];
        for index in 0..self.rows()? {
            read_row(&mut reader, &mut row)?;
            on_row(index, &row);
        }
        Ok(())
    }

    /// The rows of `indices`, in that order, one after the other.
    ///
    /// # Errors
    /// A row that is not there, or what the operating system says.
    pub fn read(&self, indices: &[usize]) -> Result<Vec<f32>> {
        let mut file = fs_err::File::open(&self.path)?;
        let mut values = vec![0.0; indices.len() * self.width];
        for (row, index) in values.chunks_exact_mut(self.width).zip(indices) {
            file.seek(SeekFrom::Start(*index as u64 * self.row_bytes()))?;
            read_row(&mut file, row)?;
        }
        Ok(values)
    }

    fn row_bytes(&self) -> u64 {
        self.width as u64 * 4
    }
}

fn read_row(reader: &mut impl Read, row: &mut [f32]) -> Result<()> {
    let mut bytes = vec![0; row.len() * 4];
    reader.read_exact(&mut bytes)?;
    for (value, bytes) in row.iter_mut().zip(bytes.chunks_exact(4)) {
        let mut four = [0; 4];
        four.copy_from_slice(bytes);
        *value = f32::from_le_bytes(four);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_row_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("features");
        let file = FeatureFile::at(&path, 3);
        assert_eq!(file.rows().unwrap(), 0);
        file.append(0, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        let mut torn = std::fs::read(&path).unwrap();
        torn.truncate(17);
        std::fs::write(&path, torn).unwrap();
        assert_eq!(file.rows().unwrap(), 1);
        file.append(1, &[7.0, 8.0, 9.0]).unwrap();
        assert_eq!(
            file.read(&[1, 0, 1]).unwrap(),
            [7.0, 8.0, 9.0, 1.0, 2.0, 3.0, 7.0, 8.0, 9.0]
        );
        let mut sums = Vec::new();
        file.each_row(|index, row| sums.push((index, row.iter().sum::<f32>())))
            .unwrap();
        assert_eq!(sums, [(0, 6.0), (1, 24.0)]);
        assert!(file.read(&[2]).is_err());
    }
}
