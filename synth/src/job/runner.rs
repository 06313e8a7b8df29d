//! The course of a job.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::draw::Artist;
use super::manifest::{Manifest, ManifestRow};
use super::output::Output;
use super::pixel_index::PixelIndex;
use super::plan::{Plan, PlannedImage, Survey};
use super::record::{JOB_FILE, JobRecord};
use super::report::{JobProgress, JobReport};
use super::screen::Fault;
use super::shard::SHARD_IMAGES;
use super::spec::{JobSpec, OutputFormat};
use crate::{Error, Generator, Result};

/// Runs a job in `out_dir`, or goes on with the job that lies there.
///
/// `progress` is called at the start and after every batch; setting `cancel` stops the job cleanly after the batch in work.
/// Memory does not grow with the number of prompts of a [`JsonLines`](super::PromptSource::JsonLines) source, nor with the
/// number of images.
///
/// # Errors
/// A specification that cannot be followed, a folder that holds a different job or is in use, a faulty prompt, a failing
/// engine or disk. What was done before the error stays and is not made again.
pub fn run(
    generator: &mut dyn Generator,
    spec: &JobSpec,
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
    let survey = Survey::of(&spec.prompts)?;
    let engine = generator.describe().clone();
    let record = JobRecord::new(spec, &engine, &survey)?;
    fs_err::create_dir_all(out_dir)?;
    record.claim(out_dir)?;
    let _lock = lock(out_dir)?;

    let mut report = JobReport::new(record.planned);
    report.notes = survey.notes(spec, generator.takes_negatives());
    let mut tail = Vec::new();
    let mut manifest = Manifest::open(out_dir, |row| {
        report.count(&row);
        if row.index % SHARD_IMAGES == 0 {
            tail.clear();
        }
        if spec.output == OutputFormat::Parquet {
            tail.push(row);
        }
        Ok(())
    })?;
    report.resumed = report.done;
    let mut index = PixelIndex::open(out_dir, report.done, report.accepted)?;
    let mut output = Output::new(out_dir, spec.output, &record.class_names);
    tail.into_iter().try_for_each(|row| output.settle(row))?;

    let target = spec
        .limit
        .unwrap_or(u64::MAX)
        .min(record.planned)
        .max(report.done);
    let mut plan = Plan::new(&spec.prompts, spec.images, &survey, report.done)?;
    let mut artist = Artist {
        generator,
        engine,
        spec,
        judge,
    };
    let begun = Instant::now();
    progress(&report.progress(target, Duration::ZERO));
    while report.done < target {
        if cancel.load(Ordering::Relaxed) {
            report.cancelled = true;
            break;
        }
        let n = (spec.batch as u64)
            .min(target - report.done)
            .min(output.room(report.done));
        let batch = plan
            .by_ref()
            .take(n as usize)
            .collect::<Result<Vec<PlannedImage>>>()?;
        if batch.is_empty() {
            return Err(Error::Spec(
                "the prompts changed while the job ran; run it again in another folder".into(),
            ));
        }
        index.begin()?;
        let rows = artist.draw(&batch, &mut index, &output)?;
        index.commit()?;
        manifest.append(&rows)?;
        for row in rows {
            report.count(&row);
            output.settle(row)?;
        }
        progress(&report.progress(target, begun.elapsed()));
    }
    let finished = report.done == record.planned;
    output.end(finished)?;
    if finished {
        index.remove()?;
    }
    report.elapsed = start.elapsed();
    Ok(report)
}

/// Keeps a second run out of the folder while this one lasts; a kill frees it.
fn lock(out_dir: &Path) -> Result<fs_err::File> {
    let file = out_dir.join(JOB_FILE);
    let held = fs_err::File::open(&file)?;
    match held.file().try_lock() {
        Ok(()) => Ok(held),
        Err(std::fs::TryLockError::Error(error)) => Err(error.into()),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::Output {
            file,
            reason: "another run works on this job; wait for it or choose another folder".into(),
        }),
    }
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
            constant: 0,
            off_class: 0,
            duplicate: 0,
            resumed: 0,
            notes: Vec::new(),
            cancelled: false,
            elapsed: Duration::ZERO,
        }
    }

    fn count(&mut self, row: &ManifestRow) {
        self.done += 1;
        self.accepted += u64::from(row.file.is_some());
        self.rejected += u64::from(row.rejected.is_some());
        self.upcast += u64::from(row.upcast);
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

    fn progress(&self, total: u64, elapsed: Duration) -> JobProgress {
        let seconds = elapsed.as_secs_f64().max(1e-9);
        let made = (self.done - self.resumed) as f64;
        JobProgress {
            done: self.done,
            total,
            images_per_second: if made == 0.0 { 0.0 } else { made / seconds },
        }
    }
}
