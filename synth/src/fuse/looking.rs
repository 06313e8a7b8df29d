//! What EfficientNet-lite0 sees in all candidates.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use promptfed_data::{Dataset, DecodeOptions};
use promptfed_vision::EfficientNet;

use super::candidates::Candidates;
use super::features::FeatureFile;
use super::signals::outlying::scale_to_unit;
use super::task_model::check;
use crate::Result;

/// The length that the features of every image are scaled to.
pub const LENGTH: f32 = 16.0;

/// Images looked at between two writes.
const CHUNK: usize = 128;

/// The features of all candidates, each scaled to [`LENGTH`], in `file`, which is gone on with where it ends.
pub(super) fn look(
    network: &EfficientNet,
    candidates: &Candidates,
    file: &Path,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(usize),
) -> Result<FeatureFile> {
    let file = FeatureFile::at(file, EfficientNet::FEATURES);
    let strict = DecodeOptions {
        strict: true,
        ..DecodeOptions::default()
    };
    candidates.each_chunk(file.rows()?, CHUNK, |range, dataset| {
        check(cancel)?;
        let mut rows = Vec::with_capacity(range.len() * EfficientNet::FEATURES);
        network.look_through(dataset, &strict, &mut |_, features| {
            rows.extend_from_slice(features);
        })?;
        scale(&mut rows);
        file.append(range.start, &rows)?;
        progress(range.end);
        Ok(())
    })?;
    Ok(file)
}

/// Looks at all candidates by the network, with what it sees in `file`.
///
/// # Errors
/// An image that cannot be read, a file that cannot be written; [`Error::Cancelled`](crate::Error::Cancelled).
pub fn look_at(
    network: &EfficientNet,
    candidates: &mut Candidates,
    file: &Path,
    progress: &mut dyn FnMut(usize),
    cancel: &AtomicBool,
) -> Result<()> {
    let features = look(network, candidates, file, cancel, progress)?;
    candidates.signals.features = Some(features);
    Ok(())
}

/// The features of other images as those of candidates are: `[n, 1280]`, each of length [`LENGTH`]. Pictures that cannot be decoded are
/// left out.
///
/// # Errors
/// As [`EfficientNet::look_through`].
pub fn features_of(
    network: &EfficientNet,
    dataset: &Dataset,
    options: &DecodeOptions,
) -> Result<Vec<f32>> {
    let mut rows = Vec::with_capacity(dataset.len() * EfficientNet::FEATURES);
    network.look_through(dataset, options, &mut |_, features| {
        rows.extend_from_slice(features);
    })?;
    scale(&mut rows);
    Ok(rows)
}

fn scale(rows: &mut [f32]) {
    for row in rows.chunks_exact_mut(EfficientNet::FEATURES) {
        scale_to_unit(row);
        row.iter_mut().for_each(|v| *v *= LENGTH);
    }
}
