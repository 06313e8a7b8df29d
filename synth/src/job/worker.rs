//! A worker: draws shards of a job that another process runs in the same folder.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use promptfed_files::{SCRATCH, is_locked};
use promptfed_prompts::{LabelSpace, RenderedPrompt};
use serde::Serialize;

use super::draw::Artist;
use super::drawn::Drawn;
use super::orders::Orders;
use super::parcel::pack;
use super::plan::PlannedImage;
use super::prompts::PromptSource;
use super::record::{JOB_FILE, JobRecord};
use super::runner::JOB_FOLDER;
use super::sharing::{OBJECTS, ledger_file, now};
use super::spec::JobSpec;
use super::work::Work;
use crate::queue::{Grant, Ledger, Objects, Offer, RunState, WorkerId};
use crate::service::wait;
use crate::{Error, Generator, Result};

/// The longest time between two questions for a shard.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The first time between two questions for a shard.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// A worker that fails so often in a row gives up.
const MOST_FAILURES: u32 = 3;

/// How a worker works; never changes what it draws.
#[derive(Clone, Copy, Debug)]
pub struct WorkerOptions {
    /// Which worker it is.
    pub worker: WorkerId,
    /// Images that the engine is asked for at once, 1 or more.
    pub batch: usize,
    /// How long it waits where nobody runs the job, before it ends.
    pub linger: Duration,
}

/// What a worker has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WorkerReport {
    /// Shards that it drew and that were taken.
    pub shards: u64,
    /// Images of these shards.
    pub images: u64,
    /// Shards that it drew too late: others have them.
    pub late: u64,
    /// Shards that it could not draw.
    pub failed: u64,
    /// Whether it was stopped.
    pub cancelled: bool,
}

/// Draws shards of the job in `folder` until the job is done, its run ends, or nobody has run it for a while. `told` is called after every
/// shard; setting `cancel` gives back the shard in work and ends the worker.
///
/// # Errors
/// A folder in which nobody runs a job for workers, an engine that draws other images than the job's, an engine that fails several times in
/// a row, and disk.
pub fn work(
    generator: &mut dyn Generator,
    folder: &Path,
    options: &WorkerOptions,
    told: &mut dyn FnMut(&WorkerReport),
    cancel: &AtomicBool,
) -> Result<WorkerReport> {
    let mut report = WorkerReport::default();
    let file = ledger_file(folder);
    let ended = rounds(generator, folder, options, &mut report, told, cancel);
    let is_gone = !file.exists();
    if is_gone {
        // Of a shard that was drawn too late; they stay where anything is in them.
        let _ = fs_err::remove_dir(folder.join(SCRATCH).join(OBJECTS));
        let _ = fs_err::remove_dir(folder.join(SCRATCH));
    }
    match ended {
        // The job was finished meanwhile.
        Err(Error::Ledger { .. }) if is_gone => Ok(report),
        Err(error) => Err(error),
        Ok(()) => Ok(report),
    }
}

fn rounds(
    generator: &mut dyn Generator,
    folder: &Path,
    options: &WorkerOptions,
    report: &mut WorkerReport,
    told: &mut dyn FnMut(&WorkerReport),
    cancel: &AtomicBool,
) -> Result<()> {
    let mut idle = Idle::new(folder, options.linger);
    let Some(mut ledger) = join(folder, &mut idle, cancel)? else {
        report.cancelled = true;
        return Ok(());
    };
    let Some(pulse) = Ledger::join(&ledger_file(folder))? else {
        return Ok(());
    };
    let record = JobRecord::read(folder)?;
    let offer = Offer::of(generator.describe());
    let mut at = Worker {
        id: options.worker,
        spec: specify(&record, options, folder)?,
        pulse,
        objects: Objects::in_folder(&folder.join(SCRATCH).join(OBJECTS))?,
        cancel,
    };
    let orders = Orders::of(folder);
    let (mut pause, mut failures) = (FIRST_PAUSE, 0);
    loop {
        if cancel.load(Ordering::Relaxed) {
            report.cancelled = true;
            return Ok(());
        }
        if ledger.run_state()? != RunState::Open {
            return Ok(());
        }
        // Under either order nothing more is begun; after a cancel the ledger is closed soon.
        if orders.order().is_some() {
            if idle.is_over() {
                return Ok(());
            }
            wait(FIRST_PAUSE, cancel);
            continue;
        }
        let Some(grant) = ledger.lease(options.worker, &offer, now())? else {
            if let Some(lack) = ledger.unmet(&offer)? {
                return Err(unfit(folder, &lack));
            }
            if idle.is_over() {
                return Ok(());
            }
            wait(pause, cancel);
            pause = (pause * 2).min(LONGEST_PAUSE);
            continue;
        };
        pause = FIRST_PAUSE;
        idle = Idle::new(folder, options.linger);
        match at.draw(generator, &mut ledger, &grant) {
            Ok(Outcome::Taken(images)) => {
                report.shards += 1;
                report.images += images;
                failures = 0;
            }
            Ok(Outcome::Late) => report.late += 1,
            Ok(Outcome::GivenBack) => {}
            Err(error) if error.is_of_engine() => {
                report.failed += 1;
                failures += 1;
                let reason = error.to_string();
                // Who is too late with it changes nothing.
                let _ = ledger.fail(options.worker, grant.id, grant.lease.fence, &reason, now())?;
                if failures >= MOST_FAILURES {
                    return Err(error);
                }
            }
            Err(error) => {
                let _ = ledger.release(grant.id, grant.lease.fence, now());
                return Err(error);
            }
        }
        told(report);
    }
}

/// What became of a shard.
enum Outcome {
    /// It was drawn and taken: so many images.
    Taken(u64),
    /// Another worker has it.
    Late,
    /// It was given back undrawn.
    GivenBack,
}

struct Worker<'a> {
    id: WorkerId,
    spec: JobSpec,
    /// The ledger, for who says that the worker is alive.
    pulse: Ledger,
    objects: Objects,
    cancel: &'a AtomicBool,
}

impl Worker<'_> {
    /// Draws a shard, puts what it made, and says so.
    fn draw(
        &mut self,
        generator: &mut dyn Generator,
        ledger: &mut Ledger,
        grant: &Grant,
    ) -> Result<Outcome> {
        let (id, fence) = (grant.id, grant.lease.fence);
        let (batch, records) = Work::decode(&grant.work).map_err(|reason| {
            Error::Store(format!(
                "what is asked of shard {id} cannot be read: {reason}"
            ))
        })?;
        self.spec.records = records;
        let Some(drawn) = self.draw_alive(generator, grant, &batch)? else {
            // Nothing where another worker has it.
            let released = ledger.release(id, fence, now())?;
            return Ok(released.map_or(Outcome::Late, |()| Outcome::GivenBack));
        };
        let images = drawn.len() as u64;
        let bytes = pack(drawn).map_err(|error| Error::Store(error.to_string()))?;
        // Nothing is put for a shard that another worker has.
        if ledger.extend(self.id, id, fence, now())?.is_err() {
            return Ok(Outcome::Late);
        }
        let made = self.objects.put(id, fence, bytes)?;
        if ledger.complete(id, made)?.is_err() {
            self.objects.remove(id, fence)?;
            return Ok(Outcome::Late);
        }
        Ok(Outcome::Taken(images))
    }

    /// Draws the images of a shard while another thread extends the lease; `None` where it was lost or the worker is to end.
    fn draw_alive(
        &mut self,
        generator: &mut dyn Generator,
        grant: &Grant,
        batch: &[PlannedImage],
    ) -> Result<Option<Vec<Drawn>>> {
        let is_lost = &AtomicBool::new(false);
        let engine = generator.describe().clone();
        let mut artist = Artist {
            generator,
            engine,
            spec: &self.spec,
            judge: None,
            cancel: self.cancel,
        };
        let (worker, cancel, pulse) = (self.id, self.cancel, &mut self.pulse);
        thread::scope(|scope| {
            let (at_work, ended) = mpsc::channel::<()>();
            scope.spawn(move || {
                let pause = pulse.policy().heartbeat();
                while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                    let extended = pulse.extend(worker, grant.id, grant.lease.fence, now());
                    // What failed otherwise is tried with the next.
                    if let Ok(Err(_)) = extended {
                        is_lost.store(true, Ordering::Relaxed);
                        return;
                    }
                }
            });
            let mut drawn = Vec::with_capacity(batch.len());
            for part in batch.chunks(self.spec.batch) {
                if is_lost.load(Ordering::Relaxed) || cancel.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                match artist.draw(part) {
                    Ok(images) => drawn.extend(images),
                    Err(Error::Cancelled) => return Ok(None),
                    Err(error) => return Err(error),
                }
            }
            drop(at_work);
            Ok(Some(drawn))
        })
    }
}

/// Since when nobody has run the job of a folder.
struct Idle {
    lock: PathBuf,
    since: Instant,
    looked: Instant,
    linger: Duration,
}

impl Idle {
    fn new(folder: &Path, linger: Duration) -> Self {
        let now = Instant::now();
        Self {
            lock: folder.join(JOB_FOLDER.lock),
            since: now,
            looked: now,
            linger,
        }
    }

    /// Whether nobody has run it for too long. Who looks holds the lock for a moment, so it is not looked often.
    fn is_over(&mut self) -> bool {
        let now = Instant::now();
        if now - self.looked >= LONGEST_PAUSE.min(self.linger) {
            self.looked = now;
            if is_locked(&self.lock) {
                self.since = now;
                return false;
            }
        }
        now - self.since >= self.linger
    }
}

/// Waits for the ledger of a job; `None` where the worker is to end.
fn join(folder: &Path, idle: &mut Idle, cancel: &AtomicBool) -> Result<Option<Ledger>> {
    loop {
        if let Some(ledger) = Ledger::join(&ledger_file(folder))?
            && ledger.run_state()? == RunState::Open
        {
            return Ok(Some(ledger));
        }
        if idle.is_over() {
            let reason = if folder.join(JOB_FILE).is_file() {
                "nobody runs this job for workers; run `promptfed synth` with its settings and --workers, and start the worker while it runs"
            } else {
                "here is no job; name the folder that `promptfed synth --workers` fills"
            };
            return Err(Error::Worker {
                folder: folder.to_owned(),
                reason: reason.to_owned(),
            });
        }
        if !wait(FIRST_PAUSE, cancel) {
            return Ok(None);
        }
    }
}

/// What the job asks of each image, as its file says.
fn specify(record: &JobRecord, options: &WorkerOptions, folder: &Path) -> Result<JobSpec> {
    if record.filter.is_some() {
        return Err(Error::Worker {
            folder: folder.to_owned(),
            reason: "its images are judged by CLIP, which workers do not do".to_owned(),
        });
    }
    // What is drawn comes with each shard.
    let prompts = PromptSource::One {
        text: RenderedPrompt {
            positive: String::new(),
            negative: String::new(),
        },
        label_space: LabelSpace::from_names(&record.label_space, &record.class_names)?,
    };
    let spec = JobSpec::new(prompts, &record.engine.defaults);
    let spec = JobSpec {
        images: record.images,
        steps: record.steps,
        sampler: record.sampler,
        guidance: record.guidance,
        seed: record.seed,
        attempts: record.attempts,
        first_draw: record.first_draw,
        batch: options.batch,
        ..spec
    };
    spec.validate()?;
    Ok(spec)
}

fn unfit(folder: &Path, lack: &str) -> Error {
    Error::Worker {
        folder: folder.to_owned(),
        reason: format!("{lack}; give --engine, --device and --precision as the job has them"),
    }
}
