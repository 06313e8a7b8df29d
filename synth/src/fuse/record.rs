//! The files of a fused set: `fuse.json`, what was asked of what; `fused.jsonl`, the chosen images as references.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use promptfed_prompts::ContentHash;
use serde::{Deserialize, Serialize};

use super::candidates::Candidates;
use super::spec::FuseSpec;
use crate::{EngineInfo, Error, Result, SyntheticSet};

/// Name of the file that says how a fused set came about.
pub const FUSE_FILE: &str = "fuse.json";

/// Name of the file of references.
pub const FUSED_FILE: &str = "fused.jsonl";

/// Version of the folder's form.
const FORMAT: u32 = 1;

/// The longest record that is read.
const MAX_BYTES: u64 = 64 << 20;

/// Everything that determines a fused set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FuseRecord {
    /// Version of the folder's form.
    pub format: u32,
    /// Version of the program.
    pub version: String,
    /// What was asked for.
    pub spec: FuseSpec,
    /// The sets, in the order of their jobs' hashes.
    pub sets: Vec<SetRecord>,
    /// Name of the sets' label space.
    pub label_space: String,
    /// Class names in label order.
    pub class_names: Vec<String>,
    /// Hash of EfficientNet-lite0's weights, where images were looked at by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_hash: Option<ContentHash>,
    /// Hash of the clients' feedback, where quotas follow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback_hash: Option<ContentHash>,
}

/// One set of a fusion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetRecord {
    /// Name of the backend.
    pub backend: String,
    /// Round of generation, from 0.
    pub round: u32,
    /// The job's folder: relative to the fused set's where both lie in one folder, absolute elsewhere.
    pub folder: PathBuf,
    /// Hash of its job file, by which images refer to it.
    pub job: ContentHash,
    /// Hash of its manifest.
    pub manifest: ContentHash,
    /// The engine.
    pub engine: EngineInfo,
    /// Hash of the prompts.
    pub prompts_hash: ContentHash,
    /// Seed of the job.
    pub seed: u64,
}

impl FuseRecord {
    pub(super) fn new(
        spec: &FuseSpec,
        candidates: &Candidates,
        out: &Path,
        network_hash: Option<ContentHash>,
        feedback_hash: Option<ContentHash>,
    ) -> Result<Self> {
        let sets = candidates.sets().iter().map(|set| {
            let record = set.record();
            Ok(SetRecord {
                backend: set.backend().to_owned(),
                round: set.round(),
                folder: refer(out, set.folder())?,
                job: set.job(),
                manifest: set.manifest(),
                engine: record.engine.clone(),
                prompts_hash: record.prompts_hash,
                seed: record.seed,
            })
        });
        let first = candidates.sets().first();
        Ok(Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            spec: spec.clone(),
            sets: sets.collect::<Result<_>>()?,
            label_space: first.map_or_else(String::new, |set| set.record().label_space.clone()),
            class_names: candidates.class_names().to_vec(),
            network_hash,
            feedback_hash,
        })
    }

    /// Reads the record of a fused set's folder.
    ///
    /// # Errors
    /// A folder without one, or with one of another version.
    pub fn read(folder: &Path) -> Result<Self> {
        let file = folder.join(FUSE_FILE);
        let bytes = promptfed_files::read(&file, MAX_BYTES)?;
        let reason = match serde_json::from_slice::<Self>(&bytes) {
            Ok(record) if record.format == FORMAT => return Ok(record),
            Ok(record) => format!(
                "format {} is not {FORMAT}; use the version that made this folder",
                record.format
            ),
            Err(error) => format!("not the record of a fused set ({error}); choose another folder"),
        };
        Err(Error::Output { file, reason })
    }
}

/// Removes a fusion in `out` of other sets than `sets`, or by another version of the program: an engine that was set aside has gone on
/// since. For places that hold nothing but the fusion of the sets beside them; where no fusion lies, nothing is removed.
///
/// # Errors
/// What the operating system says.
pub fn discard_other(out: &Path, sets: &[SyntheticSet]) -> Result<()> {
    if !out.join(FUSE_FILE).exists() {
        return Ok(());
    }
    let is_of_these = |record: FuseRecord| {
        let names = |set: &SyntheticSet, of: &SetRecord| {
            (of.job, of.manifest) == (set.job(), set.manifest())
        };
        let has = |set| record.sets.iter().any(|of| names(set, of));
        record.version == env!("CARGO_PKG_VERSION")
            && record.sets.len() == sets.len()
            && sets.iter().all(has)
    };
    if !FuseRecord::read(out).is_ok_and(is_of_these) {
        fs_err::remove_dir_all(out)?;
    }
    Ok(())
}

/// How `out` refers to a job's folder.
fn refer(out: &Path, folder: &Path) -> Result<PathBuf> {
    let out = canonical(std::path::absolute(out)?);
    let folder = fs_err::canonicalize(folder)?;
    if let Ok(inside) = folder.strip_prefix(&out) {
        return Ok(inside.to_owned());
    }
    let beside = out
        .parent()
        .and_then(|parent| folder.strip_prefix(parent).ok());
    Ok(beside.map_or(folder.clone(), |beside| Path::new("..").join(beside)))
}

/// Canonical as far as it is there: a folder refers to others alike before and after it is made.
fn canonical(path: PathBuf) -> PathBuf {
    if let Ok(whole) = fs_err::canonicalize(&path) {
        return whole;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => canonical(parent.to_owned()).join(name),
        _ => path,
    }
}

/// One chosen image: where it is, what it weighs and why it was chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FusedRow {
    /// Hash of the job file of its set.
    pub job: ContentHash,
    /// Its row in that job's manifest.
    pub row: u64,
    /// Its weight in the training loss, above 0.
    pub weight: f32,
    /// Why it was chosen.
    pub reason: String,
    /// Its class, in label order.
    pub class: u32,
    /// Name of the class.
    pub class_name: String,
    /// Its domain.
    pub domain: Option<String>,
    /// The backend that made it.
    pub backend: String,
    /// The round of generation it is from.
    pub round: u32,
    /// Its prompt.
    pub prompt: String,
    /// Hash of the prompts that asked for it.
    pub asked_by: ContentHash,
    /// Hash of its pixels.
    pub pixel_hash: Option<ContentHash>,
    /// The mean over the backends' task models of the probability of its class, 0 to 1, where it was worked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f32>,
    /// The standard deviation of the same, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variability: Option<f32>,
    /// What training on it does to the loss on held-out images other than itself; below 0 it lowers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub influence: Option<f32>,
    /// The probabilities of all classes that training aims at, in label order, where labels are soft; they sum to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Vec<f32>>,
}

/// Reads the references of a fused set's folder, first to last, without holding them in memory.
///
/// # Errors
/// A folder without them, and for each item a line that is none.
pub fn read_fused(folder: &Path) -> Result<impl Iterator<Item = Result<FusedRow>> + use<>> {
    let file = folder.join(FUSED_FILE);
    let lines = BufReader::new(promptfed_files::open_regular(&file)?).lines();
    Ok((1..).zip(lines).map(move |(line, text)| {
        serde_json::from_str(&text?).map_err(|error| Error::Output {
            file: file.clone(),
            reason: format!("line {line} is damaged ({error}); fuse again in another folder"),
        })
    }))
}
