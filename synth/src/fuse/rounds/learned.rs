//! What rounds have shown.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use promptfed_prompts::ClassIndex;

use super::RoundsSpec;
use super::asking::Cell;
use crate::fuse::quotas::Scores;
use crate::fuse::record::read_fused;
use crate::fuse::report::FuseReport;
use crate::fuse::run::{Aids, FuseProgress, fuse};
use crate::fuse::select::Mode;
use crate::fuse::signals::{Sign, Transfer};
use crate::fuse::spec::FuseSpec;
use crate::writers::Examples;
use crate::{Result, SyntheticSet};

/// The share of a class's images that the models take for one other class, from which on that one becomes a negative prompt.
const CONFUSED: f64 = 0.1;

/// What the rounds so far have shown.
#[derive(Default)]
pub(super) struct Learned {
    /// Of every cell: the backends' scores, by name.
    pub(super) scores: Vec<BTreeMap<String, f64>>,
    /// Prompts of examples.
    pub(super) examples: BTreeSet<String>,
    /// Written texts of the most and of the least useful images, for writers.
    pub(super) contrast: Examples,
    /// The class that each class is most often taken for.
    pub(super) confused: BTreeMap<u32, u32>,
}

impl Learned {
    pub(super) fn from(
        sets: &[SyntheticSet],
        spec: &RoundsSpec,
        aids: Aids<'_>,
        folder: &Path,
        (cells, written): (&[Cell], &BTreeSet<String>),
        progress: &mut dyn FnMut(FuseProgress),
        cancel: &AtomicBool,
    ) -> Result<Self> {
        let classes = spec.prompts.label_space().len() as u64;
        let looking = FuseSpec {
            select: Mode::InfluenceOfCartography {
                sign: Sign::Helpful,
            },
            keep: Some((spec.examples * classes).max(1)),
            quotas: None,
            weights: None,
            soft_labels: None,
            signals: true,
            ..spec.fuse.clone()
        };
        let aids = Aids {
            feedback: None,
            ..aids
        };
        let report = fuse(sets.to_vec(), &looking, aids, folder, progress, cancel)?;
        let mut examples = BTreeSet::new();
        if spec.examples > 0 {
            for row in read_fused(folder)? {
                examples.insert(row?.prompt);
            }
        }
        let transfer = report.transfer.as_ref();
        let scores = transfer.map(Transfer::scores);
        let scored = |cell: &Cell| {
            scores.as_ref().map_or_else(BTreeMap::new, |scores| {
                let of_cell = scores_of(scores, &report.domain_names, cell);
                let names = report.backends.iter().map(|backend| backend.name.clone());
                names.zip(of_cell).collect()
            })
        };
        Ok(Self {
            scores: cells.iter().map(scored).collect(),
            examples,
            contrast: contrast(&report, written),
            confused: transfer.map(|t| t.confused(CONFUSED)).unwrap_or_default(),
        })
    }
}

/// The texts that a writer has written and whose images are at either end, each once: those at both ends are good. Other texts are left
/// out, since they may hold clients' captions.
fn contrast(report: &FuseReport, written: &BTreeSet<String>) -> Examples {
    let mut examples = Examples::default();
    let mut told = BTreeSet::new();
    for (ranked, is_good) in [(&report.best, true), (&report.worst, false)] {
        for image in ranked.iter().map(|ranked| &ranked.image) {
            if written.contains(&image.prompt) && told.insert((image.class, &image.prompt)) {
                examples.add(ClassIndex::new(image.class), &image.prompt, is_good);
            }
        }
    }
    examples
}

pub(super) fn scores_of(scores: &Scores, domain_names: &[String], cell: &Cell) -> Vec<f64> {
    let is_its = |name: &String| Some(name) == cell.domain.as_ref();
    let domain = domain_names.iter().position(is_its).unwrap_or(0);
    scores.cell(domain, cell.class.get() as usize)
}
