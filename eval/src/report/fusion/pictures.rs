//! The few pictures that the page shows, small.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use promptfed_data::{Dataset, DecodeOptions, Fit, Sample, decode, resize_square};
use promptfed_prompts::ContentHash;
use promptfed_synth::SyntheticSet;
use promptfed_synth::fuse::{FuseRecord, FusedRow, Ranked, folder_of};

use crate::Result;
use crate::gallery::png;

/// Height and width of a shown picture in pixels.
const SIDE: usize = 64;

/// PNG files by job and row.
#[derive(Default)]
pub(super) struct Pictures(BTreeMap<(ContentHash, u64), Vec<u8>>);

impl Pictures {
    /// Reads the pictures of these rows; those that cannot be decoded are missing.
    pub(super) fn of<'a>(
        folder: &Path,
        record: &FuseRecord,
        rows: impl Iterator<Item = &'a Ranked>,
    ) -> Result<Self> {
        let wanted: BTreeSet<_> = rows.map(|r| (r.image.job, r.image.row)).collect();
        let mut keys = Vec::new();
        let mut dataset = Dataset::default();
        for set in &record.sets {
            let there = SyntheticSet::open(&folder_of(folder, set), &set.backend, set.round)?;
            for image in there.images()? {
                let (row, source) = image?;
                if wanted.contains(&(set.job, row.index)) {
                    keys.push((set.job, row.index));
                    dataset.samples.push(Sample {
                        label: 0,
                        domain: None,
                        caption: None,
                        source,
                    });
                }
            }
        }
        let mut small = Vec::new();
        decode(&dataset, &DecodeOptions::default(), |index, picture| {
            let side = SIDE.min(picture.width.min(picture.height) as usize);
            small.push((index, side, resize_square(&picture, side, Fit::Crop)));
        })?;
        let mut pictures = Self::default();
        for (index, side, pixels) in small {
            let file = png(&pixels?, side as u32)?;
            pictures.0.insert(keys[index], file);
        }
        Ok(pictures)
    }

    pub(super) fn get(&self, row: &FusedRow) -> Option<&[u8]> {
        self.0.get(&(row.job, row.row)).map(Vec::as_slice)
    }
}
