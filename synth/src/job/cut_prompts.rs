//! Prompts that are longer than the engine reads, and those that it cannot tell apart for it.

use rusqlite::{Connection, OptionalExtension, params};

use super::cut::Reading;
use super::spec::JobSpec;
use crate::{Generator, Result};

/// The longest cut text that a note shows, in characters.
const SHOWN: usize = 100;

/// The prompts of a job of which the engine does not read the end.
#[derive(Debug, Default)]
pub(super) struct CutPrompts {
    prompts: u64,
    cut: u64,
    /// What is not read of the first of them.
    first: String,
    alike: Alike,
}

impl CutPrompts {
    /// Looks at every prompt, and once more for those that read the same where any is cut. Memory does not grow with the prompts.
    pub(super) fn find(engine: &dyn Generator, spec: &JobSpec) -> Result<Self> {
        let heeds_negatives = spec.heeds_negatives(engine);
        let mut found = Self::default();
        for prompt in spec.prompts.read()? {
            let text = prompt?.text;
            let reading = Reading::of(engine, &text, heeds_negatives);
            found.prompts += 1;
            if reading.is_cut() && found.cut == 0 {
                found.first = shown(&reading);
            }
            found.cut += u64::from(reading.is_cut());
        }
        if found.cut > 0 {
            let mut readings = Readings::none()?;
            for prompt in spec.prompts.read()? {
                let text = prompt?.text;
                readings.add(engine, &Reading::of(engine, &text, heeds_negatives))?;
            }
            found.alike = readings.alike()?;
        }
        Ok(found)
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let Self {
            prompts,
            cut,
            first,
            alike,
        } = self;
        let mut notes = Vec::new();
        if *cut > 0 {
            notes.push(format!(
                "{cut} of {prompts} prompts are longer than this engine reads: {first} of the first of them has no effect; shorten them, or \
                 say first what matters most"
            ));
        }
        if let Some([one, other]) = alike.pair {
            notes.push(format!(
                "{} of {prompts} prompts differ from another one only in what this engine does not read or tell apart, so that their images \
                 show the same: prompts {one} and {other} are the first",
                alike.prompts
            ));
        }
        notes
    }
}

/// The cut part of a prompt, or of its negative text.
fn shown(reading: &Reading<'_>) -> String {
    let (of, cut) = match (reading.positive.cut, reading.negative.cut) {
        (Some(cut), _) => ("", cut),
        (None, cut) => ("the negative text's ", cut.unwrap_or_default()),
    };
    match cut.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{of}{:?}...", &cut[..end]),
        None => format!("{of}{cut:?}"),
    }
}

/// Different prompts that read the same.
#[derive(Debug, Default)]
struct Alike {
    prompts: u64,
    /// The numbers of the first two that read the same, from 1.
    pair: Option<[i64; 2]>,
}

/// What is read of every prompt, in a database without a name, which SQLite keeps in a temporary file as far as it does not fit
/// its cache.
struct Readings {
    database: Connection,
    prompts: i64,
}

impl Readings {
    fn none() -> Result<Self> {
        let database = Connection::open("")?;
        database.execute_batch(
            "PRAGMA journal_mode = OFF;
             PRAGMA synchronous = OFF;
             CREATE TABLE prompts (reading BLOB, text BLOB, number INTEGER NOT NULL, PRIMARY KEY (reading, text)) WITHOUT ROWID;
             BEGIN",
        )?;
        Ok(Self {
            database,
            prompts: 0,
        })
    }

    /// Adds the next prompt, once where it comes again.
    fn add(&mut self, engine: &dyn Generator, reading: &Reading<'_>) -> Result<()> {
        self.prompts += 1;
        let texts = [reading.positive, reading.negative];
        let read = key(texts.map(|text| read_as(engine, text.whole, text.read)));
        let whole = key(texts.map(|text| text.whole.trim_end().as_bytes().to_vec()));
        let mut insert = self
            .database
            .prepare_cached("INSERT OR IGNORE INTO prompts VALUES (?1, ?2, ?3)")?;
        insert.execute(params![read.as_slice(), whole.as_slice(), self.prompts])?;
        Ok(())
    }

    fn alike(&self) -> Result<Alike> {
        let prompts: i64 = self.database.query_row(
            "SELECT coalesce(sum(n), 0) FROM (SELECT count(*) AS n FROM prompts GROUP BY reading HAVING n > 1)",
            [],
            |row| row.get(0),
        )?;
        let pair = self.database.query_row(
            "SELECT min(number), reading FROM prompts GROUP BY reading HAVING count(*) > 1 ORDER BY 1 LIMIT 1",
            [],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)),
        );
        let Some((one, reading)) = pair.optional()? else {
            return Ok(Alike::default());
        };
        let other = self.database.query_row(
            "SELECT min(number) FROM prompts WHERE reading = ?1 AND number > ?2",
            params![reading, one],
            |row| row.get(0),
        )?;
        Ok(Alike {
            prompts: prompts as u64,
            pair: Some([one, other]),
        })
    }
}

/// What an engine reads of a text: its tokens, or else the part `read` of it.
fn read_as(engine: &dyn Generator, text: &str, read: &str) -> Vec<u8> {
    match engine.tokens(text) {
        Some(tokens) => tokens.iter().flat_map(|id| id.to_le_bytes()).collect(),
        None => read.as_bytes().to_vec(),
    }
}

/// 128 bits of a hash over two texts, each with its length first.
fn key(texts: [Vec<u8>; 2]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for text in texts {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(&text);
    }
    let mut key = [0; 16];
    hasher.finalize_xof().fill(&mut key);
    key
}
