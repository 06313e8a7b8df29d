//! Generation in rounds: after each, the backends learn who is good at what, and which prompts gave useful images.

mod asking;
mod files;
mod job;
mod learned;
mod writing;

pub use asking::RoundQuota;
pub(crate) use files::jobs_of_rounds;
pub use files::read_quotas;
pub use writing::{RoundWriting, RoundWritingSpec, RoundWritten, read_written};

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use promptfed_files::{FolderKind, OwnFolder};
use serde::Serialize;

use super::feedback::Feedback;
use super::report::FuseReport;
use super::run::{Aids, FuseProgress, compare_values, fuse, write_json};
use super::spec::FuseSpec;
use crate::registry::folder_name;
use crate::writers::WritingProgress;
use crate::{EngineInfo, Error, Generator, JobProgress, JobSpec, PromptSource, Result};
use asking::{cells, share_out};
use files::{Outcome, RoundsRecord, read};
use job::Job;
use learned::Learned;

/// Name of the file that says of what a folder's rounds are.
pub const ROUNDS_FILE: &str = "rounds.json";

/// Name of the file with what each backend is asked for in a round.
pub const QUOTAS_FILE: &str = "quotas.json";

/// Name of the file that says how a round ended.
const OUTCOME_FILE: &str = "outcome.json";

/// Folder of the fused set among the rounds.
pub const FUSED: &str = "fused";

/// Folder of a round's feedback: a fused set of the images that are examples for the next round.
const EXAMPLES: &str = "examples";

const ROUNDS_FOLDER: FolderKind = FolderKind {
    what: "the folder of rounds of generation",
    mark: ROUNDS_FILE,
    lock: ".promptfed/rounds.lock",
};

/// Version of the folder's form.
const FORMAT: u32 = 1;

/// Rounds of generation and the fusion at their end.
#[derive(Clone, Debug)]
pub struct RoundsSpec {
    /// Rounds, 1 or more; FuseGen: 5. One is generation without feedback.
    pub rounds: u32,
    /// Images made in each round by all backends together.
    pub images: u64,
    /// What is made; texts of all of them are held in memory.
    pub prompts: PromptSource,
    /// Images of each class whose prompts are asked for twice as often in the next round. FuseGen's 8 are of all classes.
    pub examples: u64,
    /// Whether the class that a class is most often taken for becomes its negative prompt, for engines that take them.
    pub negatives: bool,
    /// The fusion at the end. Its task models, quotas' softmax and seed serve the rounds too.
    pub fuse: FuseSpec,
}

/// A text-to-image engine under its name, by which its images and quotas are known.
pub type Backend = (String, Box<dyn Generator>);

/// Who makes the images of the rounds.
pub struct Makers<'a> {
    /// The engines.
    pub backends: &'a mut [Backend],
    /// What writes their prompts; without it they are asked for the source's.
    pub writing: Option<RoundWriting<'a>>,
}

impl<'a> Makers<'a> {
    /// These engines, without a writer.
    pub fn of(backends: &'a mut [Backend]) -> Self {
        Self {
            backends,
            writing: None,
        }
    }
}

/// How a backend's job is set up beside its prompts, number of images and seed.
pub type Setup<'a> = &'a dyn Fn(PromptSource, &EngineInfo) -> JobSpec;

/// How far the rounds are.
#[derive(Clone, Debug, PartialEq)]
pub enum RoundsProgress {
    /// Prompts are written.
    Writing {
        /// The round, from 0.
        round: u32,
        /// How far.
        at: WritingProgress,
    },
    /// A backend makes images.
    Making {
        /// The round, from 0.
        round: u32,
        /// The backend.
        backend: String,
        /// Its job.
        job: JobProgress,
    },
    /// Images are looked at.
    Fusing(FuseProgress),
}

/// What the rounds came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoundsReport {
    /// What each backend was asked for, by round.
    pub quotas: Vec<Vec<RoundQuota>>,
    /// Backends that failed in a round and were set aside for the rest of it: their name, the round and why.
    pub failed: Vec<(String, u32, String)>,
    /// What was written for each round; nothing without a writer.
    pub written: Vec<RoundWritten>,
    /// The fusion at the end.
    pub fused: FuseReport,
}

/// Makes images in rounds and fuses them in `out/fused`, or goes on with the rounds that lie in `out`. Round R of a backend is a job of
/// its own in `out/round-R/backends/NAME`, so that a stop loses nothing and the same seeds give the same images; the feedback after a
/// round is a fused set in `out/round-R/examples`.
///
/// Where there is a writer, each round asks for prompts that are written for it, `out/round-R/written.jsonl`, and for those of earlier rounds
/// that gave useful images; the source's prompts are asked for where none could be written.
///
/// With quotas by feedback in the fusion, `aids` has what clients told of an earlier run of the same backends, and it decides from the
/// first round on; otherwise the transfer between the backends' task models decides from the second.
///
/// # Errors
/// As [`run`](crate::run), [`fuse`] and [`write`](crate::writers::write()); if every backend fails. One that fails is set aside until the next round; a round that is over is not
/// made again.
pub fn rounds(
    makers: Makers<'_>,
    spec: &RoundsSpec,
    setup: Setup<'_>,
    aids: Aids<'_>,
    out: &Path,
    progress: &mut dyn FnMut(RoundsProgress),
    cancel: &AtomicBool,
) -> Result<RoundsReport> {
    let Makers {
        backends,
        mut writing,
    } = makers;
    validate(backends, spec)?;
    let mut cells = cells(&spec.prompts)?;
    let record = RoundsRecord {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        rounds: spec.rounds,
        images: spec.images,
        examples: spec.examples,
        negatives: spec.negatives,
        prompts_hash: spec.prompts.hash()?,
        label_space_hash: spec.prompts.label_space().hash(),
        backends: backends
            .iter()
            .map(|(name, engine)| (name.clone(), engine.describe().clone()))
            .collect(),
        fuse: spec.fuse.clone(),
        feedback_hash: aids.feedback.map(Feedback::hash).transpose()?,
        writing: writing.as_ref().map(RoundWriting::settings),
    };
    let mark = out.join(ROUNDS_FILE);
    let there = mark.exists().then(|| read(&mark)).transpose()?;
    if let Some(there) = &there {
        compare_values(there, &record, &mark, "rounds")?;
    }
    let folder = OwnFolder::claim(out, ROUNDS_FOLDER)?;
    if there.is_none() {
        write_json(&folder, ROUNDS_FILE, &record)?;
    }
    let mut quotas = Vec::new();
    let mut failed = Vec::new();
    let mut sets = Vec::new();
    let mut learned = Learned::default();
    let mut written = BTreeSet::new();
    for round in 0..spec.rounds {
        let place = of_round(out, round);
        if let Some(writing) = &mut writing {
            let readers = backends.iter().map(|(_, engine)| engine.as_ref());
            let readers: Vec<&dyn Generator> = readers.collect();
            let mut told = |at| progress(RoundsProgress::Writing { round, at });
            writing.prepare(
                round,
                &mut cells,
                &mut written,
                &readers,
                spec,
                &learned,
                &folder,
                &mut told,
                cancel,
            )?;
        }
        let asked = share_out(backends, &cells, spec, round, &learned, aids.feedback)?;
        write_json(&folder, &name_in(round, QUOTAS_FILE), &asked.quotas)?;
        let done = Outcome::read(&place)?;
        let mut outcome = Outcome::default();
        for ((name, engine), lines) in backends.iter_mut().zip(&asked.lines) {
            if lines.is_empty() {
                continue;
            }
            let job = Job {
                round,
                name,
                lines,
                folder: place.clone(),
            };
            let mut told = |job| {
                progress(RoundsProgress::Making {
                    round,
                    backend: name.clone(),
                    job,
                });
            };
            let before = done.as_ref().and_then(|done| done.failed.get(name));
            let result = match before {
                Some(why) => Err(why.clone()),
                None => match job.run(engine.as_mut(), spec, setup, &folder, &mut told, cancel) {
                    Err(error) if error.is_of_engine() => Err(error.to_string()),
                    result => Ok(result?),
                },
            };
            match result {
                Ok(set) => sets.push(set),
                Err(why) => {
                    failed.push((name.clone(), round, why.clone()));
                    outcome.failed.insert(name.clone(), why);
                    // What it made before it failed is of use.
                    sets.extend(job.made().ok());
                }
            }
        }
        if sets
            .iter()
            .all(|set| set.images().is_ok_and(|mut images| images.next().is_none()))
        {
            let told: Vec<String> = failed
                .iter()
                .map(|(name, _, why)| format!("{name}: {why}"))
                .collect();
            return Err(Error::Fusion(format!(
                "every backend failed and nothing was made: {}",
                told.join("; ")
            )));
        }
        write_json(&folder, &name_in(round, OUTCOME_FILE), &outcome)?;
        quotas.push(asked.quotas);
        if round + 1 < spec.rounds {
            let mut told = |fusing| progress(RoundsProgress::Fusing(fusing));
            learned = Learned::from(
                &sets,
                spec,
                aids,
                &place.join(EXAMPLES),
                (&cells, &written),
                &mut told,
                cancel,
            )?;
        }
    }
    let mut told = |fusing| progress(RoundsProgress::Fusing(fusing));
    let fused = fuse(sets, &spec.fuse, aids, &out.join(FUSED), &mut told, cancel)?;
    Ok(RoundsReport {
        quotas,
        failed,
        written: read_written(out)?,
        fused,
    })
}

fn validate(backends: &[Backend], spec: &RoundsSpec) -> Result<()> {
    spec.fuse.validate()?;
    let folders: BTreeSet<String> = backends.iter().map(|(name, _)| folder_name(name)).collect();
    let safe = |name: &str| {
        let plain = |c: char| c.is_alphanumeric() || "-_.+@:".contains(c);
        !name.is_empty() && !name.starts_with('.') && name.chars().all(plain)
    };
    let fault = if spec.rounds == 0 {
        "0 rounds make nothing; ask for 1 or more".to_owned()
    } else if spec.images == 0 {
        "0 images in a round; ask for 1 or more".to_owned()
    } else if backends.is_empty() {
        "give at least one backend".to_owned()
    } else if folders.len() < backends.len() {
        "two backends have one name; name them apart".to_owned()
    } else if let Some((name, _)) = backends.iter().find(|(name, _)| !safe(name)) {
        format!("the backend's name {name:?} is no folder's name; use letters, digits and -_.+@:")
    } else {
        return Ok(());
    };
    Err(Error::Fusion(fault))
}

/// A round's folder.
fn of_round(out: &Path, round: u32) -> PathBuf {
    out.join(format!("round-{round}"))
}

/// The name of a round's file in the folder of rounds.
fn name_in(round: u32, file: &str) -> String {
    format!("round-{round}/{file}")
}
