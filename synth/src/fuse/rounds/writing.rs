//! Prompts that a writer writes for each round, after what the last one has shown.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use promptfed_files::OwnFolder;
use serde::{Deserialize, Serialize};

use super::asking::Cell;
use super::learned::Learned;
use super::{RoundsSpec, name_in, of_round};
use crate::fuse::run::write_json;
use crate::fuse::spec::seed_of;
use crate::job::JobPrompt;
use crate::writers::check::{Limits, Refusals};
use crate::writers::{Journal, Writer, WriterInfo, WritingProgress, WritingSpec, write};
use crate::{Error, Generator, PromptSource, Result};

/// Name of the file of what was written for a round, beside whose record it lies, as those of `promptfed write`.
const WRITTEN_FILE: &str = "written.jsonl";
const RECORD_FILE: &str = "written.jsonl.record.json";
const UNFINISHED_FILE: &str = "written.jsonl.unfinished";

/// What writes prompts for the rounds, and how many. In the second round and later it is shown texts of its own whose images were most
/// and least useful (WASP's contrast), and no client's caption.
pub struct RoundWriting<'a> {
    /// The writer.
    pub writer: &'a mut dyn Writer,
    /// How much is written.
    pub settings: RoundWritingSpec,
    /// Whether each step is kept, so that a stop loses none.
    pub is_slow: bool,
}

/// How much is written for each round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundWritingSpec {
    /// Prompts for each prompt of the source, 1 or more.
    pub per_prompt: u32,
    /// Candidates to ask for, for every prompt wanted, before a topic is left with fewer; 1 or more.
    pub candidates: u32,
    /// Bounds of the checks.
    pub limits: Limits,
}

/// What decides what is written, as it stands in the record of the rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WritingSettings {
    spec: RoundWritingSpec,
    writer: WriterInfo,
}

/// What was written for one round, and what was refused.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoundWritten {
    /// The round, from 0.
    pub round: u32,
    /// Prompts asked for.
    pub wanted: u64,
    /// Prompts written.
    pub written: u64,
    /// What was refused, by reason.
    pub refused: Refusals,
}

impl RoundWriting<'_> {
    pub(super) fn settings(&self) -> WritingSettings {
        WritingSettings {
            spec: self.settings,
            writer: self.writer.describe().clone(),
        }
    }

    /// Gives each cell its prompts for a round: those that are written for it, or were before a stop, and those of earlier rounds that
    /// gave useful images. All that was ever written is added to `written`.
    #[expect(clippy::too_many_arguments, reason = "each is used once, here")]
    pub(super) fn prepare(
        &mut self,
        round: u32,
        cells: &mut [Cell],
        written: &mut BTreeSet<String>,
        readers: &[&dyn Generator],
        spec: &RoundsSpec,
        learned: &Learned,
        folder: &OwnFolder,
        progress: &mut dyn FnMut(WritingProgress),
        cancel: &AtomicBool,
    ) -> Result<()> {
        let file = of_round(folder.root(), round).join(WRITTEN_FILE);
        if !file.exists() {
            self.write(round, readers, spec, learned, folder, progress, cancel)?;
        }
        let mut texts = read(&file, spec)?;
        for cell in cells {
            let was_useful = |prompt: &JobPrompt| learned.examples.contains(&prompt.text.positive);
            cell.written.retain(was_useful);
            let is_of = |prompt: &mut JobPrompt| {
                let domain = prompt.domain.as_ref().map(|domain| domain.as_str());
                prompt.class == cell.class && domain == cell.domain.as_deref()
            };
            let of_cell: Vec<JobPrompt> = texts.extract_if(.., is_of).collect();
            for prompt in of_cell {
                let text = &prompt.text.positive;
                written.insert(text.clone());
                if cell
                    .written
                    .iter()
                    .all(|other| other.text.positive != *text)
                {
                    cell.written.push(prompt);
                }
            }
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "each is used once, here")]
    fn write(
        &mut self,
        round: u32,
        readers: &[&dyn Generator],
        spec: &RoundsSpec,
        learned: &Learned,
        folder: &OwnFolder,
        progress: &mut dyn FnMut(WritingProgress),
        cancel: &AtomicBool,
    ) -> Result<()> {
        let RoundWritingSpec {
            per_prompt,
            candidates,
            limits,
        } = self.settings;
        let asked = WritingSpec {
            per_prompt,
            candidates,
            limits,
            seed: seed_of(spec.fuse.seed, &format!("writing of round {round}")),
            examples: learned.contrast.clone(),
            ..WritingSpec::new(spec.prompts.clone())
        };
        let place = of_round(folder.root(), round);
        fs_err::create_dir_all(&place)?;
        let journal = self
            .is_slow
            .then(|| Journal::open(&place.join(UNFINISHED_FILE)));
        let mut journal = journal.transpose()?;
        let done = write(
            self.writer,
            readers,
            &asked,
            journal.as_mut(),
            progress,
            cancel,
        )?;
        if done.cancelled {
            return Err(Error::Cancelled);
        }
        write_json(folder, &name_in(round, RECORD_FILE), &done.record)?;
        folder.write(&place.join(WRITTEN_FILE), done.to_json_lines().as_bytes())?;
        match journal {
            Some(journal) => journal.remove(),
            None => Ok(()),
        }
    }
}

/// What was written; nothing where all was refused.
fn read(file: &Path, spec: &RoundsSpec) -> Result<Vec<JobPrompt>> {
    if fs_err::metadata(file)?.len() == 0 {
        return Ok(Vec::new());
    }
    let source = PromptSource::JsonLines {
        path: file.to_owned(),
        label_space: spec.prompts.label_space().clone(),
    };
    source.read()?.collect()
}

/// What was written for each round in a folder, as far as the rounds went; nothing where there was no writer.
///
/// # Errors
/// A record that cannot be read.
pub fn read_written(out: &Path) -> Result<Vec<RoundWritten>> {
    const MAX_BYTES: u64 = 64 << 20;
    #[derive(Deserialize)]
    struct Record {
        wanted: u64,
        written: u64,
        refused: Refusals,
    }
    let mut all = Vec::new();
    for round in 0.. {
        let file = of_round(out, round).join(RECORD_FILE);
        if !file.is_file() {
            break;
        }
        let bytes = promptfed_files::read(&file, MAX_BYTES)?;
        let Record {
            wanted,
            written,
            refused,
        } = serde_json::from_slice(&bytes).map_err(|error| Error::Output {
            file,
            reason: format!("not the record of what was written ({error}); choose another folder"),
        })?;
        all.push(RoundWritten {
            round,
            wanted,
            written,
            refused,
        });
    }
    Ok(all)
}
