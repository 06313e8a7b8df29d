//! How many images of every prompt a manifest holds, on disk, so that memory does not grow with the job.

use rusqlite::{Connection, OptionalExtension, params};

use super::manifest::ManifestRow;
use super::prompts::JobPrompt;
use crate::Result;

/// Images made, by what their prompt says: a prompt's images are counted, not its place in the list, so that prompts can be
/// added anywhere.
pub(super) struct Made {
    /// A database without a name, which SQLite keeps in a temporary file as far as it does not fit its cache.
    images: Connection,
    is_empty: bool,
}

impl Made {
    /// No image.
    pub(super) fn none() -> Result<Self> {
        let images = Connection::open("")?;
        images.execute_batch(
            "PRAGMA journal_mode = OFF;
             PRAGMA synchronous = OFF;
             CREATE TABLE made (prompt BLOB PRIMARY KEY, images INTEGER NOT NULL) WITHOUT ROWID;
             BEGIN",
        )?;
        Ok(Self {
            images,
            is_empty: true,
        })
    }

    /// Counts the image of a row.
    pub(super) fn add(&mut self, row: &ManifestRow) -> Result<()> {
        self.is_empty = false;
        let key = key(row.class, row.domain.as_deref(), &row.prompt, &row.negative);
        let mut insert = self.images.prepare_cached(
            "INSERT INTO made VALUES (?1, 1) ON CONFLICT DO UPDATE SET images = images + 1",
        )?;
        insert.execute(params![key.as_slice()])?;
        Ok(())
    }

    /// Takes up to `asked` images of a prompt away and tells how many there were.
    pub(super) fn take(&mut self, prompt: &JobPrompt, asked: u64) -> Result<u64> {
        if self.is_empty {
            return Ok(0);
        }
        let domain = prompt.domain.as_ref().map(|domain| domain.as_str());
        let text = &prompt.text;
        let key = key(prompt.class.get(), domain, &text.positive, &text.negative);
        let mut select = self
            .images
            .prepare_cached("SELECT images FROM made WHERE prompt = ?1")?;
        let there: Option<i64> = select
            .query_row(params![key.as_slice()], |row| row.get(0))
            .optional()?;
        let taken = (there.unwrap_or(0) as u64).min(asked);
        if taken > 0 {
            let mut update = self
                .images
                .prepare_cached("UPDATE made SET images = images - ?2 WHERE prompt = ?1")?;
            update.execute(params![key.as_slice(), taken as i64])?;
        }
        Ok(taken)
    }

    /// Images that were not taken.
    pub(super) fn left(&self) -> Result<u64> {
        let left: i64 =
            self.images
                .query_row("SELECT coalesce(sum(images), 0) FROM made", [], |row| {
                    row.get(0)
                })?;
        Ok(left as u64)
    }
}

/// 128 bits of a hash over everything a prompt says, every text with its length first.
fn key(class: u32, domain: Option<&str>, positive: &str, negative: &str) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&class.to_le_bytes());
    hasher.update(&[u8::from(domain.is_some())]);
    for text in [domain.unwrap_or_default(), positive, negative] {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    let mut key = [0; 16];
    hasher.finalize_xof().fill(&mut key);
    key
}
