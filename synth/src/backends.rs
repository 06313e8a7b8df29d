//! One set of prompts, several engines: a job of each, in a folder of its own.
//!
//! The output folder holds `backends.json` ([`BackendsRecord`]) and `backends/NAME/`, each an ordinary folder of a job, which goes on, is
//! opened and is checked as one. An engine that fails is set aside: the others end their jobs, and a later run goes on with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use promptfed_files::{FileError, FolderKind, OwnFolder};
use promptfed_prompts::ContentHash;
use serde::{Deserialize, Serialize};

use crate::job::{JOB_FILE, JobProgress, JobReport, JobSpec, MANIFEST_FILE, read_manifest, run};
use crate::registry::folder_name;
use crate::{EngineInfo, Error, Generator, Result};

/// Name of the record in the output folder.
pub const BACKENDS_FILE: &str = "backends.json";

/// Version of the output folder's form.
const FORMAT: u32 = 1;

/// Largest record that is read, in bytes.
const LONGEST: u64 = 16 << 20;

/// How the output folder is known.
const BACKENDS_FOLDER: FolderKind = FolderKind {
    what: "the folder of several engines' jobs",
    mark: BACKENDS_FILE,
    lock: ".promptfed/backends.lock",
};

type Load<'a> = Box<dyn FnOnce() -> Result<(Box<dyn Generator>, JobSpec)> + Send + 'a>;

/// An engine and its job.
pub struct BackendJob<'a> {
    /// What it is called: see [`Backend`](crate::registry::Backend).
    pub name: String,
    /// How it was asked for, for the record.
    pub engine: String,
    /// Whether another machine works: such jobs run beside the others, those of this machine one after the other.
    pub is_service: bool,
    /// Loads the engine and says what it is to make.
    pub load: Load<'a>,
}

/// What several engines' jobs have come to.
#[derive(Debug, Serialize)]
pub struct BackendsReport {
    /// In the order in which they were handed over.
    pub backends: Vec<BackendReport>,
    /// Whether the run was stopped by its cancellation flag.
    pub cancelled: bool,
}

impl BackendsReport {
    /// Images in the output folder, of all engines of this run.
    pub fn accepted(&self) -> u64 {
        self.backends.iter().map(|backend| backend.accepted).sum()
    }
}

/// What one of them has come to.
#[derive(Debug, Serialize)]
pub struct BackendReport {
    /// What it is called.
    pub name: String,
    /// The folder of its job, below the output folder.
    pub folder: PathBuf,
    /// What became of it.
    #[serde(flatten)]
    pub state: BackendState,
    /// The engine, where it could be loaded.
    #[serde(skip)]
    pub info: Option<EngineInfo>,
    /// What it was to make, where it could be loaded.
    #[serde(skip)]
    pub spec: Option<JobSpec>,
    /// Images in its folder that can be used, those of earlier runs among them, also where it failed.
    pub accepted: u64,
    /// Its job, where that came to its end.
    pub report: Option<JobReport>,
    /// Why it failed.
    #[serde(skip)]
    pub error: Option<Error>,
}

/// What became of an engine's job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum BackendState {
    /// All images of its plan are done.
    Done,
    /// It was stopped before its end.
    Stopped,
    /// It failed; what it had made is kept, and a later run goes on.
    SetAside {
        /// Why.
        reason: String,
    },
}

/// `backends.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendsRecord {
    /// Version of the folder's form.
    pub format: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// Seed of every job.
    pub seed: u64,
    /// The engines by their names; those of earlier runs stay.
    pub backends: BTreeMap<String, BackendEntry>,
}

/// An engine of several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendEntry {
    /// How it was asked for.
    pub engine: String,
    /// The folder of its job, below the output folder.
    pub folder: String,
    /// What became of it.
    pub outcome: BackendState,
    /// Hash of its job file, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<ContentHash>,
    /// Images in its folder that can be used.
    pub accepted: u64,
}

impl BackendEntry {
    fn begun(name: &str, engine: &str) -> Self {
        Self {
            engine: engine.to_owned(),
            folder: folder_of(name),
            outcome: BackendState::Stopped,
            job: None,
            accepted: 0,
        }
    }

    /// Takes from the job's folder what it holds, also where this run failed.
    fn look(&mut self, out_dir: &Path) -> Result<()> {
        let folder = out_dir.join(&self.folder);
        let Ok(job) = fs_err::read(folder.join(JOB_FILE)) else {
            return Ok(());
        };
        self.job = Some(ContentHash::of(&job));
        if folder.join(MANIFEST_FILE).is_file() {
            for row in read_manifest(&folder)? {
                self.accepted += u64::from(row?.file.is_some());
            }
        }
        Ok(())
    }
}

impl BackendsRecord {
    /// Reads the record of an output folder.
    ///
    /// # Errors
    /// A folder without one, or with one of another version.
    pub fn read(out_dir: &Path) -> Result<Self> {
        let file = out_dir.join(BACKENDS_FILE);
        let text = promptfed_files::read_text(&file, LONGEST)?;
        let reason = match serde_json::from_str::<Self>(&text) {
            Ok(record) if record.format == FORMAT => return Ok(record),
            Ok(record) => format!(
                "format {} is not {FORMAT}; use the version that made this folder",
                record.format
            ),
            Err(error) => {
                format!("not a record of several engines ({error}); choose another folder")
            }
        };
        Err(Error::Output { file, reason })
    }

    /// The folders of the jobs that have begun, in the order of their names.
    pub fn job_folders(&self, out_dir: &Path) -> Vec<PathBuf> {
        let folders = self
            .backends
            .values()
            .map(|entry| out_dir.join(&entry.folder));
        folders
            .filter(|folder| folder.join(JOB_FILE).is_file())
            .collect()
    }

    fn write(&self, folder: &OwnFolder) -> Result<()> {
        let file = folder.root().join(BACKENDS_FILE);
        let mut text = serde_json::to_string_pretty(self).map_err(|e| Error::Output {
            file: file.clone(),
            reason: e.to_string(),
        })?;
        text.push('\n');
        Ok(folder.write(&file, text.as_bytes())?)
    }
}

/// Runs the job of every engine, or goes on with what lies in `out_dir`. `progress` is called with an engine's name and its job's
/// progress, from several threads. Setting `cancel` stops all of them cleanly.
///
/// # Errors
/// A folder that holds anything else or is in use; faulty prompts, a full disk, and whatever else is no engine's own fault; and
/// [`Error::AllSetAside`] where every engine failed. What was done before stays.
pub fn run_backends(
    jobs: Vec<BackendJob<'_>>,
    seed: u64,
    out_dir: &Path,
    progress: &(dyn Fn(&str, &JobProgress) + Sync),
    cancel: &AtomicBool,
) -> Result<BackendsReport> {
    let folder = OwnFolder::claim(out_dir, BACKENDS_FOLDER)?;
    let mut record = match BackendsRecord::read(out_dir) {
        Ok(record) => record,
        Err(Error::File(FileError::NotFound { .. })) => BackendsRecord {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seed,
            backends: BTreeMap::new(),
        },
        Err(error) => return Err(error),
    };
    let engines: BTreeMap<String, String> = jobs
        .iter()
        .map(|job| (job.name.clone(), job.engine.clone()))
        .collect();
    for (name, engine) in &engines {
        // What is said of those that are there stays true until their jobs have gone on.
        let begun = || BackendEntry::begun(name, engine);
        record.backends.entry(name.clone()).or_insert_with(begun);
    }
    record.write(&folder)?;

    let mut backends = run_all(jobs, out_dir, progress, cancel)?;
    record.version = env!("CARGO_PKG_VERSION").to_owned();
    record.seed = seed;
    for backend in &mut backends {
        let mut entry = BackendEntry::begun(&backend.name, &engines[&backend.name]);
        entry.look(out_dir)?;
        entry.outcome = backend.state.clone();
        backend.accepted = entry.accepted;
        record.backends.insert(backend.name.clone(), entry);
    }
    record.write(&folder)?;
    let cancelled = cancel.load(Ordering::Relaxed);
    if backends.iter().all(|backend| backend.error.is_some()) {
        let faults = backends
            .into_iter()
            .filter_map(|b| Some((b.name, b.error?)));
        return Err(Error::AllSetAside {
            faults: faults.collect(),
        });
    }
    Ok(BackendsReport {
        backends,
        cancelled,
    })
}

fn run_all(
    jobs: Vec<BackendJob<'_>>,
    out_dir: &Path,
    progress: &(dyn Fn(&str, &JobProgress) + Sync),
    cancel: &AtomicBool,
) -> Result<Vec<BackendReport>> {
    let count = jobs.len();
    let (services, own): (Vec<_>, Vec<_>) = jobs
        .into_iter()
        .enumerate()
        .partition(|(_, job)| job.is_service);
    let mut reports: Vec<Option<Result<BackendReport>>> = (0..count).map(|_| None).collect();
    thread::scope(|scope| {
        let away: Vec<_> = services
            .into_iter()
            .map(|(i, job)| {
                (
                    i,
                    scope.spawn(move || run_one(job, out_dir, progress, cancel)),
                )
            })
            .collect();
        for (i, job) in own {
            reports[i] = Some(run_one(job, out_dir, progress, cancel));
        }
        for (i, thread) in away {
            let report = thread.join().unwrap_or_else(|_| {
                Err(Error::Spec(
                    "the thread of a service stopped unexpectedly".into(),
                ))
            });
            reports[i] = Some(report);
        }
    });
    reports.into_iter().flatten().collect()
}

fn run_one(
    job: BackendJob<'_>,
    out_dir: &Path,
    progress: &(dyn Fn(&str, &JobProgress) + Sync),
    cancel: &AtomicBool,
) -> Result<BackendReport> {
    let mut done = BackendReport {
        folder: folder_of(&job.name).into(),
        name: job.name,
        state: BackendState::Stopped,
        info: None,
        spec: None,
        accepted: 0,
        report: None,
        error: None,
    };
    let (mut engine, spec) = match (job.load)() {
        Ok(loaded) => loaded,
        Err(Error::Cancelled) => return Ok(done),
        // Which engine there is belongs to the job, as below.
        Err(error @ Error::DifferentJob { .. }) => return Err(error),
        // Whatever else keeps an engine from being loaded is its own fault.
        Err(error) => return Ok(done.set_aside(error)),
    };
    done.info = Some(engine.describe().clone());
    let outcome = run(
        &mut *engine,
        &spec,
        &out_dir.join(&done.folder),
        &mut |at| progress(&done.name, at),
        cancel,
    );
    done.spec = Some(spec);
    match outcome {
        Ok(report) => {
            if report.done == report.planned {
                done.state = BackendState::Done;
            }
            done.report = Some(report);
            Ok(done)
        }
        Err(Error::Cancelled) => Ok(done),
        Err(error) if error.is_of_engine() => Ok(done.set_aside(error)),
        Err(error) => Err(error),
    }
}

impl BackendReport {
    fn set_aside(mut self, error: Error) -> Self {
        let reason = error.to_string();
        self.state = BackendState::SetAside { reason };
        self.error = Some(error);
        self
    }
}

fn folder_of(name: &str) -> String {
    format!("backends/{}", folder_name(name))
}
