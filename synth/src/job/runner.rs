//! The course of a job.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use promptfed_files::{FolderKind, OwnFolder};

use super::draw::Artist;
use super::draws::{Draws, Own};
use super::made::Made;
use super::manifest::{MANIFEST_FILE, Manifest, ManifestRow};
use super::notes::notes_of;
use super::orders::{ORDER, Orders};
use super::output::Output;
use super::pixel_index::{PIXEL_INDEX, PixelIndex};
use super::plan::{Plan, PlannedImage, Survey};
use super::record::{JOB_FILE, JobRecord, Standing};
use super::report::{JobProgress, JobReport};
use super::screen::Fault;
use super::sharing::{Sharing, Workers};
use super::spec::{JobSpec, OutputFormat};
use super::stretches::Stretches;
use super::tally::Tally;
use super::{check, overview, sharing};
use crate::{Error, Generator, Reproducible, Result};

/// Runs a job in `out_dir`, or goes on with the job that lies there.
///
/// `progress` is called at the start and after every batch; setting `cancel` stops the job cleanly after the batch in work.
/// Memory does not grow with the number of prompts of a [`JsonLines`](super::PromptSource::JsonLines) source, nor with the
/// number of images.
///
/// # Errors
/// A specification that cannot be followed, a folder that holds a different job or anything else or is in use, a faulty prompt, a
/// failing engine (what may pass is tried again, see [`JobSpec::retry`]) or disk; a job without an image, or without one of a class that has prompts. What was done before the error stays
/// and is not made again.
pub fn run(
    generator: &mut dyn Generator,
    spec: &JobSpec,
    out_dir: &Path,
    progress: &mut dyn FnMut(&JobProgress),
    cancel: &AtomicBool,
) -> Result<JobReport> {
    course(generator, spec, None, out_dir, progress, cancel)
}

/// [`run`], with images that workers draw ([`work`](super::work)): the same images. The generator says what the job is, draws again what turns out
/// to be a copy or is missing, and nothing else. Waits as long as no worker comes, and until `cancel` is set.
///
/// # Errors
/// As [`run`], and images that no worker could draw.
pub fn run_shared(
    generator: &mut dyn Generator,
    spec: &JobSpec,
    sharing: &Sharing,
    out_dir: &Path,
    progress: &mut dyn FnMut(&JobProgress),
    cancel: &AtomicBool,
) -> Result<JobReport> {
    sharing.validate()?;
    if spec.filter.is_some() {
        return Err(Error::Spec(
            "workers do not judge images by CLIP; leave out the filter, or draw without workers"
                .into(),
        ));
    }
    course(generator, spec, Some(*sharing), out_dir, progress, cancel)
}

fn course(
    generator: &mut dyn Generator,
    spec: &JobSpec,
    sharing: Option<Sharing>,
    out_dir: &Path,
    progress: &mut dyn FnMut(&JobProgress),
    cancel: &AtomicBool,
) -> Result<JobReport> {
    let start = Instant::now();
    spec.validate()?;
    let filter = spec.filter.as_deref();
    let judge = filter
        .map(|filter| filter.for_classes(spec.prompts.label_space()))
        .transpose()?;
    let survey = Survey::of(&spec.prompts, |first| spec.check_engine(generator, first))?;
    let engine = generator.describe().clone();
    let record = JobRecord::new(spec, &engine, &survey)?;
    survey.check_shares(&spec.prompts, spec.images)?;
    // Told before the folder is taken: a removed job file is not just a folder with something in it.
    record.compare(out_dir)?;
    let folder = OwnFolder::claim(out_dir, JOB_FOLDER)?;
    // Whoever begins again means it, whatever an earlier run was told.
    folder.discard(ORDER)?;
    let orders = Orders::of(out_dir);
    match record.compare(out_dir)? {
        Standing::New => record.write(&folder)?,
        Standing::Same => {
            if let surplus @ 1.. = surplus(spec, &survey, out_dir)? {
                return Err(Error::Output {
                    file: out_dir.join(MANIFEST_FILE),
                    reason: format!(
                        "{surplus} of its lines are of no prompt of this job; bring the file back as it was, or delete it to make all images again"
                    ),
                });
            }
        }
        Standing::Changed(there) => match surplus(spec, &survey, out_dir)? {
            0 => record.write(&folder)?,
            surplus => return Err(record.shrinks(&there, out_dir, surplus)),
        },
    }

    let mut report = JobReport::new(record.planned);
    report.notes = notes_of(&survey, generator, spec)?;
    let mut tally = Tally::default();
    let mut stretches = Stretches::of(record.planned);
    let mut made = Made::none()?;
    let mut manifest = Manifest::open(out_dir, |row| {
        report.count(&row);
        tally.count(&row);
        stretches.count(row.index, row.file.is_some());
        made.add(&row)
    })?;
    report.resumed = report.done;
    let target = spec
        .limit
        .unwrap_or(u64::MAX)
        .min(record.planned)
        .max(report.done);
    let mut artist = Artist {
        generator,
        engine,
        spec,
        judge,
        cancel,
    };
    let mut output = Output::new(&folder, spec.output, &record.class_names)?;
    output.name_classes()?;
    output.sweep(report.done)?;
    let open_index = |report: &JobReport| -> Result<PixelIndex> {
        let file = folder.scratch(PIXEL_INDEX)?;
        PixelIndex::open(&file, out_dir, report.done, report.accepted)
    };
    // Only what comes out other than it was can be a copy of another image.
    let is_exact = artist.engine.reproducible == Reproducible::Exact;
    let mut index = (!is_exact).then(|| open_index(&report)).transpose()?;
    let goes_on = report.done < target;
    let mended = match check::mend(&mut artist, index.as_mut(), &mut output, out_dir, goes_on) {
        Err(Error::Cancelled) => {
            report.cancelled = true;
            report.elapsed = start.elapsed();
            return Ok(report);
        }
        mended => mended?,
    };
    report.mended = mended.images;
    report.changed = mended.changed.len() as u64;
    // Before rows change: a job that is killed leaves nothing that tells of what was there.
    if goes_on || report.mended > 0 {
        overview::outdate(out_dir)?;
    }
    manifest.remake(&folder, &mended.changed)?;
    let mut index = match index {
        Some(index) => index,
        None => open_index(&report)?,
    };
    if report.changed > 0 {
        index.rebuild(out_dir)?;
    }
    let mut plan = Plan::new(&spec.prompts, spec.images, &survey, made, report.done)?;
    let mut draws: Box<dyn Draws + '_> = match sharing {
        None => Box::new(Own {
            batch: spec.batch as u64,
        }),
        Some(sharing) => {
            let workers =
                Workers::of(&folder, &record, sharing, spec.records, report.done, cancel)?;
            Box::new(workers)
        }
    };
    let (mut asked, mut taken) = (VecDeque::new(), report.done);
    let begun = Instant::now();
    progress(&report.progress(target, Duration::ZERO, &stretches));
    while report.done < target {
        if orders.heed(cancel) || cancel.load(Ordering::Relaxed) {
            report.cancelled = true;
            break;
        }
        while asked.len() < draws.ahead() && taken < target {
            let n = draws
                .batch(taken)
                .min(target - taken)
                .min(output.room(taken));
            let batch = plan
                .by_ref()
                .take(n as usize)
                .collect::<Result<Vec<PlannedImage>>>()?;
            if batch.is_empty() {
                break;
            }
            draws.ask(&batch)?;
            taken += batch.len() as u64;
            asked.push_back(batch);
        }
        let Some(batch) = asked.pop_front() else {
            return Err(Error::Spec(
                "the prompts changed while the job ran; run it again in another folder".into(),
            ));
        };
        let drawn = match draws.draw(&mut artist, &batch) {
            Err(Error::Cancelled) => {
                report.cancelled = true;
                break;
            }
            drawn => drawn?,
        };
        index.begin()?;
        let rows = match artist.settle(&batch, drawn, &mut index, &output) {
            Err(Error::Cancelled) => {
                // What the batch claimed is given back with the index.
                report.cancelled = true;
                break;
            }
            rows => rows?,
        };
        index.commit()?;
        manifest.append(&rows)?;
        for row in rows {
            report.count(&row);
            tally.count(&row);
            stretches.count(row.index, row.file.is_some());
            output.settle(row)?;
        }
        draws.settled(&batch)?;
        progress(&report.progress(target, begun.elapsed(), &stretches));
    }
    let finished = report.done == record.planned;
    output.end(finished)?;
    draws.end(finished)?;
    drop(draws);
    folder.discard(ORDER)?;
    if finished {
        sharing::discard(&folder)?;
        index.remove()?;
    }
    if spec.output == OutputFormat::Folder {
        overview::write(&folder, out_dir)?;
    }
    report.elapsed = start.elapsed();
    if !report.cancelled {
        tally.judge(&report, finished, &record.class_names)?;
    }
    Ok(report)
}

/// How a job's folder is known.
pub(super) const JOB_FOLDER: FolderKind = FolderKind {
    what: "the folder of a synthesis job",
    mark: JOB_FILE,
    lock: ".promptfed/job.lock",
};

/// How many images of a folder's manifest the plan does not ask for.
fn surplus(spec: &JobSpec, survey: &Survey, out_dir: &Path) -> Result<u64> {
    let (mut made, mut rows) = (Made::none()?, 0);
    Manifest::open(out_dir, |row| {
        rows += 1;
        made.add(&row)
    })?;
    Plan::new(&spec.prompts, spec.images, survey, made, rows)?.surplus()
}

impl JobReport {
    fn new(planned: u64) -> Self {
        Self {
            planned,
            done: 0,
            accepted: 0,
            rejected: 0,
            redrawn: 0,
            non_finite: 0,
            upcast: 0,
            cut: 0,
            constant: 0,
            off_class: 0,
            duplicate: 0,
            resumed: 0,
            notes: Vec::new(),
            mended: 0,
            changed: 0,
            cancelled: false,
            elapsed: Duration::ZERO,
        }
    }

    fn count(&mut self, row: &ManifestRow) {
        self.done += 1;
        self.accepted += u64::from(row.file.is_some());
        self.rejected += u64::from(row.rejected.is_some());
        self.upcast += u64::from(row.upcast);
        self.cut += u64::from(row.cut.is_some() || row.negative_cut.is_some());
        self.redrawn += u64::from(row.attempts.saturating_sub(1));
        for flag in &row.flags {
            match flag {
                Fault::NonFinite => self.non_finite += 1,
                Fault::Constant => self.constant += 1,
                Fault::OffClass => self.off_class += 1,
                Fault::Duplicate => self.duplicate += 1,
            }
        }
    }

    fn progress(&self, total: u64, elapsed: Duration, stretches: &Stretches) -> JobProgress {
        let seconds = elapsed.as_secs_f64().max(1e-9);
        let made = (self.done - self.resumed) as f64;
        JobProgress {
            done: self.done,
            total,
            images_per_second: if made == 0.0 { 0.0 } else { made / seconds },
            stretches: stretches.clone(),
        }
    }
}
