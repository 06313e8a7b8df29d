//! The files of rounds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use promptfed_prompts::ContentHash;
use serde::{Deserialize, Serialize};

use super::asking::RoundQuota;
use super::writing::WritingSettings;
use super::{OUTCOME_FILE, QUOTAS_FILE, ROUNDS_FILE, of_round};
use crate::fuse::spec::FuseSpec;
use crate::registry::folder_name;
use crate::{EngineInfo, Error, Result};

/// What a folder's rounds are of.
#[derive(Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(super) struct RoundsRecord {
    pub(super) format: u32,
    pub(super) version: String,
    pub(super) rounds: u32,
    pub(super) images: u64,
    pub(super) examples: u64,
    pub(super) negatives: bool,
    pub(super) prompts_hash: ContentHash,
    pub(super) label_space_hash: ContentHash,
    pub(super) backends: Vec<(String, EngineInfo)>,
    pub(super) fuse: FuseSpec,
    pub(super) feedback_hash: Option<ContentHash>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) writing: Option<WritingSettings>,
}

pub(super) fn read(file: &Path) -> Result<RoundsRecord> {
    const MAX_BYTES: u64 = 64 << 20;
    let bytes = promptfed_files::read(file, MAX_BYTES)?;
    serde_json::from_slice(&bytes).map_err(|error| Error::Output {
        file: file.to_owned(),
        reason: format!("not the record of rounds ({error}); choose another folder"),
    })
}

/// How a round ended.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Outcome {
    /// Backends that failed, and why.
    pub(super) failed: BTreeMap<String, String>,
}

impl Outcome {
    /// That of a round that is over.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>> {
        const MAX_BYTES: u64 = 1 << 20;
        let file = folder.join(OUTCOME_FILE);
        if !file.exists() {
            return Ok(None);
        }
        let bytes = promptfed_files::read(&file, MAX_BYTES)?;
        let outcome = serde_json::from_slice(&bytes).map_err(|error| Error::Output {
            file,
            reason: format!("not the outcome of a round ({error}); choose another folder"),
        })?;
        Ok(Some(outcome))
    }
}

/// Where the job of a backend lies in a round's folder.
pub(super) fn job_folder(round: &Path, backend: &str) -> PathBuf {
    round.join("backends").join(folder_name(backend))
}

/// Where the jobs of all rounds in a folder lie, as far as they have begun: their backend, round and folder.
///
/// # Errors
/// A folder without rounds.
pub(crate) fn jobs_of_rounds(out: &Path) -> Result<Vec<(String, u32, PathBuf)>> {
    let record = read(&out.join(ROUNDS_FILE))?;
    let mut jobs = Vec::new();
    for round in 0..record.rounds {
        for (name, _) in &record.backends {
            let folder = job_folder(&of_round(out, round), name);
            if folder.exists() {
                jobs.push((name.clone(), round, folder));
            }
        }
    }
    Ok(jobs)
}

/// What each backend was asked for in each round in a folder, as far as the rounds went; nothing where there are none.
///
/// # Errors
/// A file that cannot be read.
pub fn read_quotas(out: &Path) -> Result<Vec<Vec<RoundQuota>>> {
    const MAX_BYTES: u64 = 256 << 20;
    let mut rounds = Vec::new();
    if !out.join(ROUNDS_FILE).is_file() {
        return Ok(rounds);
    }
    for round in 0.. {
        let file = of_round(out, round).join(QUOTAS_FILE);
        if !file.is_file() {
            break;
        }
        let bytes = promptfed_files::read(&file, MAX_BYTES)?;
        let quotas = serde_json::from_slice(&bytes).map_err(|error| Error::Output {
            file,
            reason: format!("not the quotas of a round ({error}); choose another folder"),
        })?;
        rounds.push(quotas);
    }
    Ok(rounds)
}
