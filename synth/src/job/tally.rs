//! What the images of a job come to: nothing, or nothing of a class, is a failure.

use std::collections::BTreeMap;

use super::manifest::ManifestRow;
use super::report::JobReport;
use crate::{Error, Result};

/// Accepted images of every class that has rows.
#[derive(Default)]
pub(super) struct Tally {
    accepted: BTreeMap<u32, u64>,
}

impl Tally {
    pub(super) fn count(&mut self, row: &ManifestRow) {
        *self.accepted.entry(row.class).or_default() += u64::from(row.file.is_some());
    }

    /// Fails where nothing was accepted, and at the end of the plan where a class is left without an image.
    pub(super) fn judge(
        &self,
        report: &JobReport,
        finished: bool,
        class_names: &[String],
    ) -> Result<()> {
        if report.done > 0 && report.accepted == 0 {
            return Err(Error::NoImages {
                drawn: report.done,
                faults: faults(report),
            });
        }
        let empty = self.accepted.iter().filter(|(_, accepted)| **accepted == 0);
        let names = empty.filter_map(|(class, _)| class_names.get(*class as usize));
        let classes: Vec<String> = names.map(|name| format!("{name:?}")).collect();
        if finished && !classes.is_empty() {
            return Err(Error::EmptyClasses {
                classes,
                faults: faults(report),
            });
        }
        Ok(())
    }
}

/// What was wrong with the draws that were thrown away, and what to do about the most frequent fault.
fn faults(report: &JobReport) -> String {
    let mut kinds = [
        (
            report.non_finite,
            "held values that are not numbers",
            "compute in f32 or bf16, lower the guidance, or leave out the adapter",
        ),
        (
            report.constant,
            "were of one colour",
            "check the engine's weights, adapters, steps and guidance",
        ),
        (
            report.off_class,
            "did not show their class to CLIP",
            "lower the least score, or describe the class better",
        ),
        (
            report.duplicate,
            "repeated an earlier image",
            "check the engine: different seeds must give different images",
        ),
    ];
    kinds.sort_by_key(|(draws, ..)| std::cmp::Reverse(*draws));
    let told: Vec<String> = kinds
        .iter()
        .filter(|(draws, ..)| *draws > 0)
        .map(|(draws, what, _)| format!("{draws} draws {what}"))
        .collect();
    format!("{}; {}", told.join(", "), kinds[0].2)
}
