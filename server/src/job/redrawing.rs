//! Making the images of a class again: a job of its own for each time, in a folder of its own, from seeds that none was drawn from before.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use promptfed_prompts::PromptSet;
use promptfed_prompts::protocol::{ImageBudget, RoundId, RoundSpec, StageSeconds, SynthesisPlan};
use promptfed_synth::job::{JOB_FILE, JobRecord, read_manifest};
use promptfed_synth::{
    BACKENDS_FILE, BackendsRecord, EngineInfo, Error as SynthError, PromptSource, SyntheticSet,
};

use super::Worker;
use super::stages::{pool, timed};
use super::synthesis::{Drawing, Synthesised};
use crate::store::TrainingPlanned;
use crate::{Error, Result};

/// What is made again.
pub(super) struct Again<'a> {
    /// The class, by its number.
    pub(super) class: u32,
    /// The number of the time, 1 or more.
    pub(super) draw: u32,
    /// The folder of the images that were made first.
    pub(super) first: &'a Path,
}

impl Again<'_> {
    /// Refuses another engine than made the first images: the class would look other than the rest for that.
    pub(super) fn check_engine(
        &self,
        name: &str,
        engine: &EngineInfo,
    ) -> promptfed_synth::Result<()> {
        let folder = match self.first.join(BACKENDS_FILE).is_file() {
            false => self.first.to_owned(),
            true => match BackendsRecord::read(self.first)?.backends.get(name) {
                Some(entry) => self.first.join(&entry.folder),
                None => return Ok(()),
            },
        };
        let file = folder.join(JOB_FILE);
        // One that could not be loaded then has left none.
        if !file.is_file() {
            return Ok(());
        }
        let first = JobRecord::read(&folder)?.engine;
        let determining = |engine: &EngineInfo| {
            [
                ("weights_hash", engine.weights_hash.to_string()),
                ("version", engine.version.clone()),
                ("image_size", engine.image_size.to_string()),
                ("settings", format!("{:?}", engine.settings)),
            ]
        };
        let each = determining(&first).into_iter().zip(determining(engine));
        let mut differing = each.filter(|(first, now)| first != now);
        match differing.next() {
            None => Ok(()),
            Some(((field, found), (_, wanted))) => Err(SynthError::DifferentJob {
                file,
                field: format!("engine.{field}"),
                found,
                wanted,
            }),
        }
    }
}

impl Worker {
    /// Makes what a training needs and no earlier one has made, or goes on with it; gives what is to be told of it, and nothing where it was
    /// interrupted.
    pub(super) fn redraw(
        &self,
        round: RoundId,
        spec: &RoundSpec,
        planned: &TrainingPlanned,
        seconds: &mut StageSeconds,
        interrupt: &Arc<AtomicBool>,
    ) -> Result<Option<Vec<String>>> {
        let draws = planned.draws.iter().map(|(class, draw)| (*class, *draw));
        let missing: Vec<_> = draws.filter(|draw| !planned.drawn.contains(draw)).collect();
        if missing.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let (_, pooled) = timed(&mut seconds.pooling, || {
            pool(self.store.submissions(round)?, &spec.label_space)
        })?;
        let notes = timed(&mut seconds.synthesis, || {
            let mut notes = Vec::new();
            for (class, draw) in missing {
                let prompts = of_class_alone(&pooled, spec, class)?;
                let made = self.draw_again(round, spec, class, draw, prompts, interrupt)?;
                if made.cancelled || interrupt.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                notes.extend(made.notes);
            }
            Ok(Some(notes))
        })?;
        self.folder.close_images(round)?;
        if notes.is_some() {
            self.worked(round, "synthesis", seconds.synthesis);
        }
        Ok(notes)
    }

    fn draw_again(
        &self,
        round: RoundId,
        spec: &RoundSpec,
        class: u32,
        draw: u32,
        prompts: PromptSet,
        interrupt: &Arc<AtomicBool>,
    ) -> Result<Synthesised> {
        let first = self.folder.synthetic(round);
        let (plan, shares) = of_class(&spec.synthesis, &first, class)?;
        self.folder.prepare_redraws(round)?;
        let folder = self.folder.redrawn(round, class, draw);
        let drawing = Drawing {
            plan: &plan,
            shares,
            count: prompts.len() as u64,
            prompts: PromptSource::Set {
                prompts,
                label_space: spec.label_space.clone(),
            },
            folder: &folder,
            again: Some(Again {
                class,
                draw,
                first: &first,
            }),
        };
        self.synthesise(&drawing, interrupt)
    }
}

/// The prompts of one class.
fn of_class_alone(pooled: &PromptSet, spec: &RoundSpec, class: u32) -> Result<PromptSet> {
    match pooled.clone().retain(|prompt| prompt.class.get() == class) {
        Err(promptfed_prompts::Error::NoPrompts) => {
            let classes = spec.label_space.classes();
            let entry = classes.get(class as usize);
            let class = entry.map_or_else(|| class.to_string(), |entry| entry.name.clone());
            Err(Error::NoPrompt { class })
        }
        prompts => Ok(prompts?),
    }
}

/// The sources of a class's images and how many each is to make: as many as at first.
fn of_class(
    plan: &SynthesisPlan,
    first: &Path,
    class: u32,
) -> Result<(SynthesisPlan, Vec<ImageBudget>)> {
    if matches!(plan.images, ImageBudget::PerPrompt(_)) {
        return Ok((plan.clone(), plan.shares()));
    }
    let planned = planned_of(first, class)?;
    let of_source = |name: &str| match plan.sources.len() {
        // A single job is called after its folder.
        1 => planned.values().sum::<u64>(),
        _ => planned.get(name).copied().unwrap_or(0),
    };
    let mut of_class = plan.clone();
    of_class.sources.retain(|s| of_source(&s.engine) > 0);
    let shares = of_class.sources.iter();
    let shares = shares.map(|source| ImageBudget::Total(of_source(&source.engine)));
    let shares = shares.collect();
    Ok((of_class, shares))
}

/// How many images of a class each engine's manifest has, accepted or not.
fn planned_of(first: &Path, class: u32) -> promptfed_synth::Result<BTreeMap<String, u64>> {
    let mut planned = BTreeMap::new();
    for set in SyntheticSet::all_in(first, None)? {
        let mut images = 0;
        for row in read_manifest(set.folder())? {
            images += u64::from(row?.class == class);
        }
        planned.insert(set.backend().to_owned(), images);
    }
    Ok(planned)
}
