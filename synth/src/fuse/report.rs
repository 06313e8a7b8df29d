//! What a fusion found: which images were most and least useful, and which backend is good at what.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use promptfed_prompts::protocol::decimal;
use serde::{Deserialize, Serialize};

use super::budget::Quota;
use super::candidates::Candidates;
use super::record::{FUSED_FILE, FusedRow};
use super::select::Choice;
use super::signals::Transfer;
use crate::{Error, Result};

/// Name of the file with the findings.
pub const REPORT_FILE: &str = "report.json";

/// Name of the file with the seconds that each stage took, which differ from run to run.
pub const COST_FILE: &str = "cost.json";

/// Images shown of each class, at either end.
const SHOWN: usize = 8;

/// The longest report that is read.
const MAX_BYTES: u64 = 256 << 20;

/// The findings of a fusion; the same for the same sets and seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FuseReport {
    /// Images that were there.
    pub made: u64,
    /// Images chosen.
    pub chosen: u64,
    /// Each backend's part, sorted by name.
    pub backends: Vec<BackendPart>,
    /// Class names in label order.
    pub class_names: Vec<String>,
    /// Domain names in index order; empty where there are none.
    pub domain_names: Vec<String>,
    /// What each backend was allowed of each class and domain, where there were quotas.
    pub quotas: Vec<Quota>,
    /// How well each backend's task model names the others' images, where they were asked.
    pub transfer: Option<Transfer>,
    /// What had no effect, in words.
    pub notes: Vec<String>,
    /// The least and the greatest weight.
    pub weights: [f32; 2],
    /// The most useful images of each class, best first.
    pub best: Vec<Ranked>,
    /// The least useful images of each class, worst first.
    pub worst: Vec<Ranked>,
}

/// One backend's part in a fused set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendPart {
    /// Its name.
    pub name: String,
    /// Images it made.
    pub made: u64,
    /// Images of it that were chosen.
    pub chosen: u64,
    /// Their weights together; the number of images where each weighs 1.
    pub weight: f64,
}

/// An image with its numbers, chosen or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranked {
    /// Whether it was chosen.
    pub chosen: bool,
    /// The image; where it was not chosen its weight is 0.
    pub image: FusedRow,
}

impl FuseReport {
    /// Reads the findings in a fused set's folder; nothing where the fusion did not get so far.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let file = folder.join(REPORT_FILE);
        if !file.exists() || !folder.join(FUSED_FILE).exists() {
            return Ok(None);
        }
        let bytes = promptfed_files::read(&file, MAX_BYTES)?;
        let report = serde_json::from_slice(&bytes).map_err(|error| Error::Output {
            file,
            reason: format!("not the findings of a fusion ({error}); fuse again in another folder"),
        })?;
        Ok(Some(report))
    }

    pub(super) fn of(
        candidates: &Candidates,
        choices: &[Choice],
        transfer: Option<Transfer>,
        quotas: Vec<Quota>,
        notes: Vec<String>,
    ) -> Result<Self> {
        let mut backends: Vec<BackendPart> = candidates
            .by_backend()
            .into_iter()
            .zip(candidates.backends())
            .map(|(images, name)| BackendPart {
                name: name.clone(),
                made: images.len() as u64,
                chosen: 0,
                weight: 0.0,
            })
            .collect();
        for choice in choices {
            let part = &mut backends[candidates.backend(choice.row)];
            part.chosen += 1;
            part.weight += decimal(choice.weight);
        }
        let (best, worst) = ends(candidates, choices)?;
        let weights = choices.iter().map(|choice| choice.weight);
        Ok(Self {
            made: candidates.len() as u64,
            chosen: choices.len() as u64,
            backends,
            class_names: candidates.class_names().to_vec(),
            domain_names: candidates.domain_names().to_vec(),
            quotas,
            transfer,
            notes,
            weights: [
                weights.clone().fold(f32::INFINITY, f32::min),
                weights.fold(0.0, f32::max),
            ],
            best,
            worst,
        })
    }
}

/// How useful an image is: by influence where it is known, else by confidence; heavier before lighter, then chosen before others.
fn usefulness(
    candidates: &Candidates,
    weights: &BTreeMap<usize, &Choice>,
    image: usize,
) -> [f64; 2] {
    let signals = &candidates.signals;
    let weight = weights.get(&image).map_or(0.0, |choice| choice.weight);
    let signal = match (&signals.influence, &signals.agreement) {
        (Some(influence), _) => -f64::from(influence[image]),
        (None, Some(agreement)) => agreement.confidence(image),
        (None, None) => f64::from(weight),
    };
    [signal, f64::from(weight)]
}

/// The most and the least useful images of each class.
fn ends(candidates: &Candidates, choices: &[Choice]) -> Result<(Vec<Ranked>, Vec<Ranked>)> {
    let chosen: BTreeMap<usize, &Choice> = choices.iter().map(|c| (c.row, c)).collect();
    let mut by_class = vec![Vec::new(); candidates.class_names().len()];
    for (index, image) in candidates.images().iter().enumerate() {
        by_class[image.class as usize].push(index);
    }
    let (mut best, mut worst) = (Vec::new(), Vec::new());
    for mut class in by_class {
        let by = |image: usize| usefulness(candidates, &chosen, image);
        class.sort_by(|a, b| {
            let (a, b) = (by(*a), by(*b));
            b[0].total_cmp(&a[0]).then(b[1].total_cmp(&a[1]))
        });
        let most = SHOWN.min(class.len() / 2);
        best.extend_from_slice(&class[..most]);
        worst.extend(class.iter().rev().take(most));
    }
    let wanted: BTreeSet<usize> = best.iter().chain(&worst).copied().collect();
    let mut rows = BTreeMap::new();
    each_fused_row(
        candidates,
        &chosen,
        |image| wanted.contains(&image),
        |image, row| {
            let ranked = Ranked {
                chosen: chosen.contains_key(&image),
                image: row,
            };
            rows.insert(image, ranked);
            Ok(())
        },
    )?;
    let ranked = |images: Vec<usize>| images.iter().filter_map(|i| rows.get(i).cloned()).collect();
    Ok((ranked(best), ranked(worst)))
}

/// The lines of the chosen images' references, in the candidates' order.
pub(super) fn references(candidates: &Candidates, choices: &[Choice]) -> Result<Vec<u8>> {
    let chosen: BTreeMap<usize, &Choice> = choices.iter().map(|c| (c.row, c)).collect();
    let mut lines = Vec::new();
    each_fused_row(
        candidates,
        &chosen,
        |image| chosen.contains_key(&image),
        |_, row| {
            serde_json::to_writer(&mut lines, &row)
                .map_err(|error| Error::Fusion(format!("{FUSED_FILE}: {error}")))?;
            lines.push(b'\n');
            Ok(())
        },
    )?;
    Ok(lines)
}

fn each_fused_row(
    candidates: &Candidates,
    chosen: &BTreeMap<usize, &Choice>,
    wanted: impl Fn(usize) -> bool,
    mut on_row: impl FnMut(usize, FusedRow) -> Result<()>,
) -> Result<()> {
    let signals = &candidates.signals;
    let agreement = signals.agreement.as_ref();
    candidates.each_row(|image, row, _| {
        if !wanted(image) {
            return Ok(());
        }
        let set = &candidates.sets()[candidates.images()[image].set as usize];
        let choice = chosen.get(&image);
        let fused = FusedRow {
            job: set.job(),
            row: row.index,
            weight: choice.map_or(0.0, |choice| choice.weight),
            reason: choice
                .map_or("not chosen", |choice| choice.reason)
                .to_owned(),
            class: row.class,
            class_name: row.class_name,
            domain: row.domain,
            backend: set.backend().to_owned(),
            round: set.round(),
            prompt: row.prompt,
            asked_by: set.record().prompts_hash,
            pixel_hash: row.pixel_hash,
            confidence: agreement.map(|a| a.confidence(image) as f32),
            variability: agreement.map(|a| a.variability(image) as f32),
            influence: signals.influence.as_ref().map(|influence| influence[image]),
            targets: choice.and_then(|choice| choice.targets.clone()),
        };
        on_row(image, fused)
    })
}

/// Seconds of each stage, of the last run that did any of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Seconds by stage.
    pub seconds: BTreeMap<String, f64>,
}

impl Cost {
    pub(super) fn add(&mut self, stage: &str, elapsed: Duration) {
        *self.seconds.entry(stage.to_owned()).or_default() += elapsed.as_secs_f64();
    }

    /// Reads the costs in a fused set's folder.
    ///
    /// # Errors
    /// A file that is not there or cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let file = folder.join(COST_FILE);
        let bytes = promptfed_files::read(&file, MAX_BYTES)?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Output {
            file,
            reason: format!("not the costs of a fusion ({error})"),
        })
    }

    /// All stages together, in seconds.
    pub fn total(&self) -> f64 {
        self.seconds.values().sum()
    }
}
