//! Pictures as they are stored, without decoding.

use super::sources::Sources;
use crate::{DataError, Dataset, DecodeOptions, DecodeReport, Result};

/// Hands the stored bytes of every sample to `on_bytes` with the sample's index, in sample order, one at a time.
///
/// Samples that cannot be read are left out and listed in the report.
///
/// # Errors
/// With [`DecodeOptions::strict`], the first such sample.
pub fn read_encoded(
    dataset: &Dataset,
    options: &DecodeOptions,
    mut on_bytes: impl FnMut(usize, &[u8]),
) -> Result<DecodeReport, DataError> {
    let mut sources = Sources::default();
    let mut report = DecodeReport::default();
    for (index, sample) in dataset.samples.iter().enumerate() {
        match sources.get(&sample.source).read(&options.limits) {
            Ok(bytes) => on_bytes(index, bytes.as_ref()),
            Err(unfit) => {
                let source = sample.source.to_string();
                super::skip(&mut report, index, source, unfit, options.strict)?;
            }
        }
    }
    Ok(report)
}
