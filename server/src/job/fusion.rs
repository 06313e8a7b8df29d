//! Choosing among a round's images: the stage between making them and training on them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use promptfed_prompts::protocol::{
    FusePlan, FusedPart, FusedSource, FusionSummary, RoundSpec, RoundState, decimal,
};
use promptfed_synth::fuse::{
    Aids, Cost, FUSE_FILE, FUSED_FILE, FuseProgress, FuseReport, FuseSpec, discard_other, fuse,
    read_fused,
};
use promptfed_synth::{BackendsRecord, SyntheticSet, hash_file};

use super::Worker;
use crate::{Error, Result};

/// What came of a fusion.
pub(super) struct Fused {
    pub(super) summary: FusionSummary,
    /// What had no effect, in words.
    pub(super) notes: Vec<String>,
}

impl Worker {
    /// Fuses the images of several engines in `made` into references in `out`, or goes on with it; nothing where it was interrupted.
    pub(super) fn fuse(
        &self,
        spec: &RoundSpec,
        plan: &FusePlan,
        made: &Path,
        out: &Path,
        interrupt: &AtomicBool,
    ) -> Result<Option<Fused>> {
        let size = spec.training.image_size as usize;
        let asked = FuseSpec::of_plan(plan, size, spec.synthesis.seed).map_err(fusing)?;
        let network = asked.needs_network().then(|| self.engines.load_network());
        let network = network.transpose().map_err(fusing)?;
        let sets = sets(made)?;
        // An engine that was set aside before a restart may have gone on since.
        discard_other(out, &sets)?;
        let aids = Aids {
            network: network.as_ref(),
            feedback: None,
        };
        let mut progress = |at: FuseProgress| {
            self.report(RoundState::Fusing {
                stage: at.stage.to_owned(),
                done: at.done as u64,
                total: at.total as u64,
            });
        };
        match fuse(sets, &asked, aids, out, &mut progress, interrupt) {
            Ok(report) => Ok(Some(Fused {
                summary: summary(out, &report, spec.label_space.len()).map_err(fusing)?,
                notes: notes(&report, plan),
            })),
            Err(promptfed_synth::Error::Cancelled) => Ok(None),
            Err(error) => Err(fusing(error)),
        }
    }
}

fn fusing(error: promptfed_synth::Error) -> Error {
    Error::Fusing(Box::new(error))
}

/// The sets of the engines that made an image.
fn sets(made: &Path) -> Result<Vec<SyntheticSet>> {
    let backends = BackendsRecord::read(made)?.backends.into_iter();
    let with_images = backends.filter(|(_, entry)| entry.accepted > 0);
    let open = |(name, entry): (String, promptfed_synth::BackendEntry)| {
        Ok(SyntheticSet::open(&made.join(entry.folder), name, 0)?)
    };
    with_images.map(open).collect()
}

fn notes(report: &FuseReport, plan: &FusePlan) -> Vec<String> {
    let fewer = plan.keep.filter(|keep| report.chosen < *keep).map(|keep| {
        format!(
            "{} images were chosen where {keep} were asked for: there are no more",
            report.chosen
        )
    });
    report.notes.iter().cloned().chain(fewer).collect()
}

#[derive(Default)]
struct Part {
    chosen: u64,
    weight: f64,
    classes: Vec<FusedPart>,
    domains: BTreeMap<String, FusedPart>,
}

fn summary(
    out: &Path,
    report: &FuseReport,
    classes: usize,
) -> promptfed_synth::Result<FusionSummary> {
    let mut per_class = vec![0; classes];
    let mut parts: BTreeMap<String, Part> = BTreeMap::new();
    for part in &report.backends {
        let domains = report.domain_names.iter();
        let own = Part {
            classes: vec![FusedPart::default(); classes],
            domains: domains.map(|d| (d.clone(), FusedPart::default())).collect(),
            ..Part::default()
        };
        parts.insert(part.name.clone(), own);
    }
    for row in read_fused(out)? {
        let row = row?;
        let class = row.class as usize;
        if let Some(count) = per_class.get_mut(class) {
            *count += 1;
        }
        let Some(part) = parts.get_mut(&row.backend) else {
            continue;
        };
        part.chosen += 1;
        part.weight += f64::from(row.weight);
        if let Some(of_class) = part.classes.get_mut(class) {
            of_class.chosen += 1;
        }
        let domain = row.domain.as_deref().unwrap_or(promptfed_data::NO_DOMAIN);
        if let Some(of_domain) = part.domains.get_mut(domain) {
            of_domain.chosen += 1;
        }
    }
    // Two models cannot be told apart by the images of a third.
    if let Some(transfer) = report.transfer.as_ref().filter(|t| t.backends.len() > 2) {
        for (name, scores) in transfer.backends.iter().zip(transfer.scores().values) {
            if let Some(part) = parts.get_mut(name) {
                score(part, &report.domain_names, &scores);
            }
        }
    }
    let sources = report.backends.iter().filter_map(|made| {
        let part = parts.remove(&made.name)?;
        Some(FusedSource {
            name: made.name.clone(),
            made: made.made,
            chosen: part.chosen,
            mean_weight: (part.chosen > 0).then(|| rounded(part.weight / part.chosen as f64)),
            classes: part.classes,
            domains: part.domains,
        })
    });
    Ok(FusionSummary {
        made: report.made,
        chosen: report.chosen,
        per_class,
        sources: sources.collect(),
        record_hash: hash_file(&out.join(FUSE_FILE))?,
        chosen_hash: hash_file(&out.join(FUSED_FILE))?,
        seconds: Cost::read(out)?.seconds,
    })
}

/// Puts the mean of `[domain][class]` scores over domains into each class, and over classes into each domain.
fn score(part: &mut Part, domain_names: &[String], scores: &[Vec<f64>]) {
    let mean = |values: &mut dyn Iterator<Item = f64>| {
        let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
        (count > 0).then(|| rounded(sum / f64::from(count)))
    };
    for (class, of_class) in part.classes.iter_mut().enumerate() {
        let mut of_domains = scores
            .iter()
            .filter_map(|domain| domain.get(class).copied());
        of_class.score = mean(&mut of_domains);
    }
    for (name, classes) in domain_names.iter().zip(scores) {
        if let Some(of_domain) = part.domains.get_mut(name) {
            of_domain.score = mean(&mut classes.iter().copied());
        }
    }
}

/// To the digits that a person reads.
fn rounded(value: f64) -> f64 {
    decimal(value as f32)
}
