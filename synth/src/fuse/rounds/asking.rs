//! What backends are asked for in a round.

use std::collections::{BTreeMap, BTreeSet};

use promptfed_prompts::{ClassIndex, LabelSpace};
use serde::{Deserialize, Serialize};

use super::learned::{Learned, scores_of};
use super::{Backend, RoundsSpec};
use crate::fuse::feedback::Feedback;
use crate::fuse::quotas::apportion;
use crate::fuse::spec::QuotaSource;
use crate::job::JobPrompt;
use crate::{PromptSource, Result};

/// What a backend is asked for of a class and domain in a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundQuota {
    /// The backend.
    pub backend: String,
    /// The domain.
    pub domain: Option<String>,
    /// The class.
    pub class: String,
    /// How useful its images were found; nothing in the first round.
    pub score: Option<f64>,
    /// Images asked for.
    pub images: u64,
}

/// A class and a domain, and what is made of them.
pub(super) struct Cell {
    pub(super) class: ClassIndex,
    pub(super) domain: Option<String>,
    /// Those of the source.
    pub(super) prompts: Vec<JobPrompt>,
    /// Those that were written for this round, and useful ones of earlier rounds.
    pub(super) written: Vec<JobPrompt>,
}

impl Cell {
    /// What a round asks for: the source's prompts only where none was written.
    fn asked(&self) -> &[JobPrompt] {
        if self.written.is_empty() {
            &self.prompts
        } else {
            &self.written
        }
    }
}

/// The prompts by class and domain, in that order.
pub(super) fn cells(source: &PromptSource) -> Result<Vec<Cell>> {
    let mut cells: BTreeMap<(u32, Option<String>), Cell> = BTreeMap::new();
    for prompt in source.read()? {
        let prompt = prompt?;
        let domain = prompt.domain.as_ref().map(|d| d.as_str().to_owned());
        let cell = cells.entry((prompt.class.get(), domain.clone()));
        let cell = cell.or_insert_with(|| Cell {
            class: prompt.class,
            domain,
            prompts: Vec::new(),
            written: Vec::new(),
        });
        cell.prompts.push(prompt);
    }
    Ok(cells.into_values().collect())
}

/// What all backends are asked for in one round.
pub(super) struct Asked {
    pub(super) quotas: Vec<RoundQuota>,
    /// Of every backend: its prompts with their counts.
    pub(super) lines: Vec<Vec<Line>>,
}

/// One prompt of a backend's job.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) class: String,
    pub(super) domain: Option<String>,
    pub(super) prompt: String,
    pub(super) negative: String,
    pub(super) count: u64,
}

pub(super) fn share_out(
    backends: &[Backend],
    cells: &[Cell],
    spec: &RoundsSpec,
    round: u32,
    learned: &Learned,
    feedback: Option<&Feedback>,
) -> Result<Asked> {
    let space = spec.prompts.label_space();
    let totals = totals(cells, spec.images);
    let told = told_by_clients(backends, cells, spec, feedback)?;
    let mut asked = Asked {
        quotas: Vec::new(),
        lines: vec![Vec::new(); backends.len()],
    };
    for (index, (cell, total)) in cells.iter().zip(totals).enumerate() {
        let known = told.as_ref().map(|told| &told[index]);
        let known = known.or(learned
            .scores
            .get(index)
            .filter(|scores| !scores.is_empty()));
        // A backend that made nothing yet is as good as the others on average.
        let scores = known.map(|known| {
            let mean = known.values().sum::<f64>() / known.len().max(1) as f64;
            let score = |(name, _): &Backend| known.get(name).copied().unwrap_or(mean);
            backends.iter().map(score).collect::<Vec<f64>>()
        });
        let shares = match &scores {
            Some(scores) => spec.fuse.softmax.shares(scores),
            None => vec![1.0 / backends.len() as f64; backends.len()],
        };
        // Whose turn it is to get the odd image changes with the cell and the round.
        let turn = (index + round as usize) % backends.len();
        let mut turned = shares.clone();
        turned.rotate_left(turn);
        let mut images = apportion(&turned, total, &vec![u64::MAX; backends.len()]);
        images.rotate_right(turn);
        for (place, ((name, engine), images)) in backends.iter().zip(images).enumerate() {
            let class = space.class_name(cell.class).unwrap_or_default();
            asked.quotas.push(RoundQuota {
                backend: name.clone(),
                domain: cell.domain.clone(),
                class: class.to_owned(),
                score: scores.as_ref().map(|scores| scores[place]),
                images,
            });
            let negative = (spec.negatives && engine.takes_negatives())
                .then(|| negative(learned, space, cell.class))
                .flatten();
            asked.lines[place].extend(lines(cell, class, images, learned, negative));
        }
    }
    Ok(asked)
}

/// The clients' scores of every cell by backend, where quotas follow them.
fn told_by_clients(
    backends: &[Backend],
    cells: &[Cell],
    spec: &RoundsSpec,
    feedback: Option<&Feedback>,
) -> Result<Option<Vec<BTreeMap<String, f64>>>> {
    let (Some(QuotaSource::Feedback), Some(feedback)) = (spec.fuse.quotas, feedback) else {
        return Ok(None);
    };
    let names: Vec<String> = backends.iter().map(|(name, _)| name.clone()).collect();
    let domains: BTreeSet<String> = cells
        .iter()
        .filter_map(|cell| cell.domain.clone())
        .collect();
    let domains: Vec<String> = domains.into_iter().collect();
    let classes = spec.prompts.label_space().classes().iter();
    let classes: Vec<String> = classes.map(|class| class.name.clone()).collect();
    let scores = feedback.scores_for(&names, &domains, &classes)?;
    let of_cell = |cell: &Cell| {
        let scores = scores_of(&scores, &domains, cell);
        names.iter().cloned().zip(scores).collect()
    };
    Ok(Some(cells.iter().map(of_cell).collect()))
}

/// Images of every cell: the same for every class, shared evenly among its prompts.
fn totals(cells: &[Cell], images: u64) -> Vec<u64> {
    let mut prompts = BTreeMap::<u32, usize>::new();
    for cell in cells {
        *prompts.entry(cell.class.get()).or_default() += cell.prompts.len();
    }
    let part = |cell: &Cell| cell.prompts.len() as f64 / prompts[&cell.class.get()] as f64;
    let parts: Vec<f64> = cells.iter().map(part).collect();
    apportion(&parts, images, &vec![u64::MAX; cells.len()])
}

/// The prompts of a cell with their counts; those of examples count twice.
fn lines(
    cell: &Cell,
    class: &str,
    images: u64,
    learned: &Learned,
    negative: Option<&str>,
) -> Vec<Line> {
    let part = |prompt: &JobPrompt| {
        let is_example = learned.examples.contains(&prompt.text.positive);
        f64::from(1 + u8::from(is_example)) * f64::from(prompt.count.unwrap_or(1).max(1))
    };
    let parts: Vec<f64> = cell.asked().iter().map(part).collect();
    let counts = apportion(&parts, images, &vec![u64::MAX; parts.len()]);
    let lines = cell
        .asked()
        .iter()
        .zip(counts)
        .filter(|(_, count)| *count > 0);
    lines
        .map(|(prompt, count)| {
            let own = prompt.text.negative.trim();
            Line {
                class: class.to_owned(),
                domain: cell.domain.clone(),
                prompt: prompt.text.positive.clone(),
                negative: match negative {
                    Some(negative) if own.is_empty() => negative.to_owned(),
                    Some(negative) => format!("{own}, {negative}"),
                    None => prompt.text.negative.clone(),
                },
                count,
            }
        })
        .collect()
}

/// What images of a class should not be taken for.
fn negative<'s>(learned: &Learned, space: &'s LabelSpace, class: ClassIndex) -> Option<&'s str> {
    let other = learned.confused.get(&class.get())?;
    space.prompt_name(ClassIndex::new(*other))
}
