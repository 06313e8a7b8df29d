//! One job in detail: its settings, what became of its images, what its workers gave up and why.

use std::path::Path;

use serde::Serialize;

use super::manifest::{MANIFEST_FILE, read_manifest};
use super::record::JobRecord;
use super::screen::Fault;
use super::sharing::ledger_file;
use super::state::JobState;
use crate::Result;
use crate::queue::{Ledger, ShardId};

/// A job in detail.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobDetail {
    /// Where it stands.
    #[serde(flatten)]
    pub job: JobState,
    /// Number of prompts.
    pub prompts: u64,
    /// Integration steps.
    pub steps: u32,
    /// Seed of the job.
    pub seed: u64,
    /// Images in the output.
    pub accepted: u64,
    /// Images given up after the last attempt, by what was wrong with it.
    pub rejected: Rejected,
    /// Shards that no worker could draw.
    pub set_aside: Vec<SetAsideShard>,
}

/// Images by what was wrong with their last draw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// A value was not a finite number.
    pub non_finite: u64,
    /// Every pixel was the same.
    pub constant: u64,
    /// CLIP did not see their class in them.
    pub off_class: u64,
    /// An earlier image has the same pixels.
    pub duplicate: u64,
}

/// A shard that no worker could draw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SetAsideShard {
    /// Index of its first image.
    pub first: ShardId,
    /// Number of its images.
    pub images: u32,
    /// What the workers told.
    pub reasons: Vec<String>,
}

impl JobDetail {
    /// Looks at a job. The manifest is read, and no image.
    ///
    /// # Errors
    /// A folder that holds no job, a damaged manifest, and disk.
    pub fn read(folder: &Path) -> Result<Self> {
        let record = JobRecord::read(folder)?;
        let ledger = Ledger::join(&ledger_file(folder))?;
        let (mut accepted, mut rejected) = (0, Rejected::default());
        let job = JobState::of(folder, &record, ledger.as_ref(), || {
            let mut rows = 0;
            if folder.join(MANIFEST_FILE).is_file() {
                for row in read_manifest(folder)? {
                    let row = row?;
                    rows += 1;
                    accepted += u64::from(row.file.is_some());
                    match row.rejected {
                        None => {}
                        Some(Fault::NonFinite) => rejected.non_finite += 1,
                        Some(Fault::Constant) => rejected.constant += 1,
                        Some(Fault::OffClass) => rejected.off_class += 1,
                        Some(Fault::Duplicate) => rejected.duplicate += 1,
                    }
                }
            }
            Ok(rows)
        })?;
        let set_aside = ledger.map(|ledger| ledger.set_aside()).transpose()?;
        let shards = set_aside.unwrap_or_default().into_iter();
        Ok(Self {
            job,
            prompts: record.prompts,
            steps: record.steps,
            seed: record.seed,
            accepted,
            rejected,
            set_aside: shards
                .map(|(first, shard)| SetAsideShard {
                    first,
                    images: shard.images,
                    reasons: shard.reasons(),
                })
                .collect(),
        })
    }
}
