//! Making a round's images: one job where the plan has one engine, else one of each.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use promptfed_prompts::protocol::{
    EngineSummary, FilterSummary, ImageBudget as PlannedImages, ImageCounts, RoundState,
    SamplingSummary, SourceOutcome, SourceSummary, SynthesisPlan, decimal,
};
use promptfed_synth::{
    BackendJob, BackendReport, BackendState, ClipFilter, EngineInfo, Generator, Guidance,
    ImageBudget, JobProgress, JobReport, JobSpec, OutputFormat, PromptSource, Spread, run_backends,
};

use super::Worker;
use super::redrawing::Again;
use crate::Result;

/// Images that are to be made.
pub(super) struct Drawing<'a> {
    pub(super) plan: &'a SynthesisPlan,
    /// Those of each source, in the plan's order.
    pub(super) shares: Vec<PlannedImages>,
    pub(super) prompts: PromptSource,
    /// Number of the prompts.
    pub(super) count: u64,
    pub(super) folder: &'a Path,
    /// Where they are made again, and not for the first time.
    pub(super) again: Option<Again<'a>>,
}

/// What came of the plan.
pub(super) struct Synthesised {
    pub(super) sources: Vec<SourceSummary>,
    pub(super) images: ImageCounts,
    /// What had no effect, was not read, or failed, in words.
    pub(super) notes: Vec<String>,
    pub(super) cancelled: bool,
}

impl Worker {
    /// Makes images in a folder, or goes on with it.
    pub(super) fn synthesise(
        &self,
        drawing: &Drawing<'_>,
        interrupt: &Arc<AtomicBool>,
    ) -> Result<Synthesised> {
        let plan = drawing.plan;
        let filter = self.filter(plan)?;
        match (plan.sources.as_slice(), drawing.shares.as_slice()) {
            ([source], [share]) => {
                let (mut engine, mut job) =
                    self.load_engine(drawing, &source.engine, *share, interrupt)?;
                job.filter = filter;
                self.warn(promptfed_synth::notes(&*engine, &job)?);
                let counted = drawing.counted(&source.engine);
                let mut progress = |at: &JobProgress| {
                    self.count(&counted, at.done);
                    self.tell_strip(&source.engine, at);
                    self.report(RoundState::Synthesising {
                        done: at.done,
                        total: at.total,
                    })
                };
                let folder = drawing.folder;
                let report =
                    promptfed_synth::run(&mut *engine, &job, folder, &mut progress, interrupt)?;
                let mut made = Synthesised::none(report.cancelled);
                made.add(&source.engine, engine.describe(), &job, &report);
                Ok(made)
            }
            _ => self.synthesise_with_several(drawing, filter, interrupt),
        }
    }

    fn synthesise_with_several(
        &self,
        drawing: &Drawing<'_>,
        filter: Option<Arc<ClipFilter>>,
        interrupt: &Arc<AtomicBool>,
    ) -> Result<Synthesised> {
        let plan = drawing.plan;
        let jobs = plan
            .sources
            .iter()
            .zip(&drawing.shares)
            .map(|(source, images)| {
                let filter = filter.clone();
                let name = source.engine.clone();
                BackendJob {
                    name: name.clone(),
                    engine: name.clone(),
                    is_service: self.engines.is_service(&name),
                    load: Box::new(move || {
                        let (engine, mut job) =
                            self.load_engine(drawing, &name, *images, interrupt)?;
                        job.filter = filter;
                        self.warn(promptfed_synth::notes(&*engine, &job)?);
                        Ok((engine, job))
                    }),
                }
            });
        let at = Mutex::new(BTreeMap::<String, (u64, u64)>::new());
        let progress = |name: &str, progress: &JobProgress| {
            self.count(&drawing.counted(name), progress.done);
            self.tell_strip(name, progress);
            let mut at = at.lock().unwrap_or_else(PoisonError::into_inner);
            at.insert(name.to_owned(), (progress.done, progress.total));
            self.report(RoundState::Synthesising {
                done: at.values().map(|(done, _)| done).sum(),
                total: at.values().map(|(_, total)| total).sum(),
            });
        };
        let folder = drawing.folder;
        let report = run_backends(jobs.collect(), plan.seed, folder, &progress, interrupt)?;
        let mut made = Synthesised::none(report.cancelled);
        for (backend, images) in report.backends.into_iter().zip(&drawing.shares) {
            let planned = match images {
                PlannedImages::Total(images) => *images,
                PlannedImages::PerPrompt(images) => u64::from(*images) * drawing.count,
            };
            if matches!(backend.state, BackendState::SetAside { .. }) {
                self.tell_set_aside(&backend.name, planned);
            }
            made.add_backend(backend, planned);
        }
        Ok(made)
    }

    fn load_engine(
        &self,
        drawing: &Drawing<'_>,
        name: &str,
        images: PlannedImages,
        interrupt: &Arc<AtomicBool>,
    ) -> promptfed_synth::Result<(Box<dyn Generator>, JobSpec)> {
        let engine = self.engines.load(name, interrupt)?;
        let prompts = drawing.prompts.clone();
        let mut job = synthesis_job(drawing.plan, images, prompts, engine.describe())?;
        job.batch = self.engines.batch(name).unwrap_or(job.batch);
        if let Some(again) = &drawing.again {
            again.check_engine(name, engine.describe())?;
            job.first_draw = again.draw.saturating_mul(job.attempts);
        }
        Ok((engine, job))
    }

    /// The filter that the plan asks for.
    fn filter(&self, plan: &SynthesisPlan) -> Result<Option<Arc<ClipFilter>>> {
        let load = |score| self.engines.load_filter(score as f32).map(Arc::new);
        Ok(plan.min_clip_score.map(load).transpose()?)
    }
}

impl Drawing<'_> {
    /// The name under which the images of an engine are counted.
    fn counted(&self, engine: &str) -> String {
        match &self.again {
            None => engine.to_owned(),
            Some(again) => format!("{engine}, class {} ({})", again.class, again.draw),
        }
    }
}

impl Synthesised {
    fn none(cancelled: bool) -> Self {
        Self {
            sources: Vec::new(),
            images: ImageCounts::default(),
            notes: Vec::new(),
            cancelled,
        }
    }

    fn add(&mut self, name: &str, engine: &EngineInfo, job: &JobSpec, report: &JobReport) {
        let images = image_counts(report);
        self.images += images;
        for note in &report.notes {
            if !self.notes.contains(note) {
                self.notes.push(note.clone());
            }
        }
        self.sources.push(SourceSummary {
            name: name.to_owned(),
            outcome: SourceOutcome::Done,
            engine: Some(engine_summary(engine)),
            sampling: Some(sampling_summary(job)),
            images,
        });
    }

    /// Adds an engine of several; `planned` is what it was to make.
    fn add_backend(&mut self, backend: BackendReport, planned: u64) {
        let BackendReport {
            accepted,
            name,
            state,
            info,
            spec,
            report,
            ..
        } = backend;
        if let (Some(info), Some(spec), Some(report)) = (&info, &spec, &report) {
            self.add(&name, info, spec, report);
            return;
        }
        let reason = match state {
            BackendState::SetAside { reason } => reason,
            BackendState::Done | BackendState::Stopped => "stopped".to_owned(),
        };
        let images = ImageCounts {
            planned,
            accepted,
            ..ImageCounts::default()
        };
        self.images += images;
        self.notes
            .push(format!("the engine {name} was set aside: {reason}"));
        self.sources.push(SourceSummary {
            name,
            outcome: SourceOutcome::SetAside { reason },
            engine: info.as_ref().map(engine_summary),
            sampling: spec.as_ref().map(sampling_summary),
            images,
        });
    }
}

fn engine_summary(engine: &EngineInfo) -> EngineSummary {
    EngineSummary {
        name: engine.name.clone(),
        version: engine.version.clone(),
        weights_hash: engine.weights_hash,
        image_size: engine.image_size,
    }
}

fn synthesis_job(
    plan: &SynthesisPlan,
    images: PlannedImages,
    source: PromptSource,
    engine: &EngineInfo,
) -> promptfed_synth::Result<JobSpec> {
    let own = JobSpec::new(source, &engine.defaults);
    let sampler = plan.sampler.as_deref().map(str::parse).transpose();
    Ok(JobSpec {
        images: match images {
            PlannedImages::PerPrompt(images) => ImageBudget::PerPrompt(images),
            PlannedImages::Total(images) => ImageBudget::Total {
                images,
                spread: Spread::ClassBalanced,
            },
        },
        steps: plan.steps.unwrap_or(own.steps),
        sampler: sampler
            .map_err(promptfed_synth::Error::Spec)?
            .unwrap_or(own.sampler),
        guidance: plan.guidance.map_or(own.guidance, Guidance::from),
        seed: plan.seed,
        output: OutputFormat::Folder,
        ..own
    })
}

fn sampling_summary(job: &JobSpec) -> SamplingSummary {
    SamplingSummary {
        sampler: job.sampler.to_string(),
        steps: job.steps,
        guidance: job.guidance.into(),
        filter: job.filter.as_ref().map(|filter| FilterSummary {
            clip_hash: filter.rule().clip_hash,
            min_score: decimal(filter.rule().min_score),
        }),
    }
}

fn image_counts(report: &JobReport) -> ImageCounts {
    ImageCounts {
        planned: report.planned,
        accepted: report.accepted,
        rejected: report.rejected,
        non_finite: report.non_finite,
        constant: report.constant,
        off_class: report.off_class,
        duplicate: report.duplicate,
    }
}
