//! Features of images by a frozen network, kept from run to run: in memory, and in a file beside a comparison's journal.
//!
//! A row is known by the program's version, the network's hash and the image's pixels, so that whoever holds an image, in whatever comparison, finds it. What an
//! image's row is does not depend on the images beside it.

mod file;

use file::KeptFile;
use promptfed_prompts::ContentHash;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Rows that are kept at most: of 1,280 values each they are half a gibibyte.
const MOST: usize = 100_000;

/// What determines a row.
pub(crate) type Key = [u8; 32];

/// An image's features.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    values: Box<[f32]>,
    seconds: f32,
}

impl Row {
    /// Values that took so many seconds.
    pub(crate) fn new(values: &[f32], seconds: f64) -> Self {
        Self {
            values: values.into(),
            seconds: seconds as f32,
        }
    }

    /// The values.
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// The seconds that they took.
    pub(crate) fn seconds(&self) -> f64 {
        f64::from(self.seconds.max(0.0))
    }
}

/// Rows in memory, shared by all copies of this value, and those of one file.
#[derive(Clone, Default)]
pub struct FeatureCache {
    memory: Arc<Mutex<HashMap<Key, Arc<Row>>>>,
    file: Option<Arc<Mutex<KeptFile>>>,
}

impl FeatureCache {
    /// The same memory, with the rows of a file in it; every row that is asked for from now on is written there too. A file that is none of this
    /// version, or that is damaged from some place on, is begun anew or goes on from there. Where it cannot be read or written, it is done without.
    #[must_use]
    pub fn with_file(&self, path: &Path, width: usize) -> Self {
        let mut memory = lock(&self.memory);
        let file = KeptFile::open(path, width, MOST, &mut |key, row| {
            if memory.len() < MOST {
                memory.entry(key).or_insert_with(|| Arc::new(row));
            }
        });
        drop(memory);
        Self {
            memory: Arc::clone(&self.memory),
            file: file.ok().map(|file| Arc::new(Mutex::new(file))),
        }
    }

    /// How many rows are in memory.
    pub fn len(&self) -> usize {
        lock(&self.memory).len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn key(&self, network: &ContentHash, size: usize, pixels: &[u8]) -> Key {
        let mut message = concat!("promptfed features ", env!("CARGO_PKG_VERSION"), "\0")
            .as_bytes()
            .to_vec();
        message.extend_from_slice(network.as_bytes());
        message.extend_from_slice(&(size as u64).to_le_bytes());
        message.extend_from_slice(pixels);
        *ContentHash::of(&message).as_bytes()
    }

    pub(crate) fn find(&self, key: &Key) -> Option<Arc<Row>> {
        let found = lock(&self.memory).get(key).cloned()?;
        self.write(key, &found);
        Some(found)
    }

    pub(crate) fn keep(&self, key: Key, row: &Arc<Row>) {
        self.write(&key, row);
        let mut memory = lock(&self.memory);
        if memory.len() < MOST {
            memory.insert(key, Arc::clone(row));
        }
    }

    fn write(&self, key: &Key, row: &Row) {
        if let Some(file) = &self.file {
            lock(file).add(key, row);
        }
    }
}

impl fmt::Debug for FeatureCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeatureCache")
            .field("rows", &self.len())
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(of: u8) -> Key {
        FeatureCache::default().key(&ContentHash::of(b"network"), 1, &[of; 3])
    }

    fn row(of: u8) -> Arc<Row> {
        Arc::new(Row::new(&[f32::from(of), 0.5], 0.25))
    }

    #[test]
    fn rows_are_found_again_in_memory_and_in_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("features/rows.bin");
        let cache = FeatureCache::default().with_file(&path, 2);
        assert!(cache.find(&key(1)).is_none());
        cache.keep(key(1), &row(1));
        cache.keep(key(2), &row(2));
        assert_eq!(cache.find(&key(1)), Some(row(1)));
        assert_ne!(key(1), key(2));
        let again = FeatureCache::default().with_file(&path, 2);
        assert_eq!(again.find(&key(2)), Some(row(2)));
        assert_eq!(again.find(&key(2)).map(|row| row.seconds()), Some(0.25));
        assert_eq!(again.len(), 2);
        // Another comparison of the same program has them, and writes down what it asks for.
        let other = folder.path().join("other.bin");
        let beside = again.with_file(&other, 2);
        assert_eq!(beside.find(&key(1)), Some(row(1)));
        let read = FeatureCache::default().with_file(&other, 2);
        assert_eq!((read.len(), read.find(&key(1))), (1, Some(row(1))));
    }

    #[test]
    fn a_torn_a_damaged_and_a_foreign_file_lose_no_more_than_they_must() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.bin");
        let cache = FeatureCache::default().with_file(&path, 2);
        for of in 1..4 {
            cache.keep(key(of), &row(of));
        }
        let whole = std::fs::read(&path).unwrap();
        let rows_of = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            FeatureCache::default().with_file(&path, 2).len()
        };
        assert_eq!(rows_of(&whole), 3);
        assert_eq!(rows_of(&whole[..whole.len() - 1]), 2, "torn");
        let mut damaged = whole.clone();
        let last = damaged.len() - 20;
        damaged[last] ^= 1;
        assert_eq!(rows_of(&damaged), 2, "damaged");
        assert_eq!(rows_of(b"something else"), 0);
        // It was begun anew, and goes on.
        let cache = FeatureCache::default().with_file(&path, 2);
        cache.keep(key(9), &row(9));
        let again = FeatureCache::default().with_file(&path, 2);
        assert_eq!((again.len(), again.find(&key(9))), (1, Some(row(9))));
        // Rows of another width are of no use.
        assert_eq!(FeatureCache::default().with_file(&path, 3).len(), 0);
    }
}
