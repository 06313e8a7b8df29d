//! Rows in a file: a header, and records of one length, each with a check of its own. A record is whole or not there.

use super::{Key, Row};
use promptfed_prompts::ContentHash;
use std::collections::HashSet;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// What the file begins with: rows of another version of the program are not read, and take no room from those of this one.
const MAGIC: &[u8] = concat!("promptfed features ", env!("CARGO_PKG_VERSION"), "\n").as_bytes();

/// Bytes of a record's check.
const CHECK: usize = 8;

/// A file that rows are added to.
pub(super) struct KeptFile {
    /// `None` once it could not be written.
    file: Option<fs_err::File>,
    known: HashSet<Key>,
    width: usize,
    most: usize,
}

impl KeptFile {
    /// Opens a file of rows of so many values, hands its rows to `on_row`, at most `most` of them, and cuts off what is damaged.
    pub(super) fn open(
        path: &Path,
        width: usize,
        most: usize,
        on_row: &mut dyn FnMut(Key, Row),
    ) -> std::io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        let mut file = fs_err::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let header = [MAGIC, &(width as u32).to_le_bytes()[..]].concat();
        let mut found = vec![0; header.len()];
        let is_ours = file.read_exact(&mut found).is_ok() && found == header;
        let mut known = HashSet::new();
        let mut whole = header.len() as u64;
        if is_ours {
            let mut reader = BufReader::new(&mut file);
            let mut record = vec![0; 32 + 4 + 4 * width + CHECK];
            while known.len() < most && reader.read_exact(&mut record).is_ok() {
                let Some((key, row)) = read(&record) else {
                    break;
                };
                whole += record.len() as u64;
                known.insert(key);
                on_row(key, row);
            }
        } else {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&header)?;
        }
        file.set_len(whole)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self {
            file: Some(file),
            known,
            width,
            most,
        })
    }

    /// Adds a row that is not there yet, where there is room.
    pub(super) fn add(&mut self, key: &Key, row: &Row) {
        let fits = row.values.len() == self.width && self.known.len() < self.most;
        if !fits || !self.known.insert(*key) {
            return;
        }
        let written = self
            .file
            .as_mut()
            .map(|file| file.write_all(&record(key, row)));
        if matches!(written, Some(Err(_))) {
            // A full disk is no reason to stop: the rows are made again next time.
            self.file = None;
        }
    }
}

fn record(key: &Key, row: &Row) -> Vec<u8> {
    let mut record = key.to_vec();
    record.extend(row.seconds.to_le_bytes());
    record.extend(row.values.iter().flat_map(|value| value.to_le_bytes()));
    let check = check(&record);
    record.extend(check);
    record
}

/// A record's key and row; `None` of a damaged one.
fn read(record: &[u8]) -> Option<(Key, Row)> {
    let (body, found) = record.split_at_checked(record.len().checked_sub(CHECK)?)?;
    if found != check(body) {
        return None;
    }
    let (key, rest) = body.split_first_chunk::<32>()?;
    let (words, _) = rest.as_chunks::<4>();
    let mut numbers = words.iter().map(|word| f32::from_le_bytes(*word));
    let seconds = numbers.next().filter(|seconds| seconds.is_finite())?;
    let values: Box<[f32]> = numbers.collect();
    Some((*key, Row { values, seconds }))
}

fn check(body: &[u8]) -> [u8; CHECK] {
    let hash = ContentHash::of(body);
    let mut check = [0; CHECK];
    check.copy_from_slice(&hash.as_bytes()[..CHECK]);
    check
}
