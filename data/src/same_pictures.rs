//! Pictures that stand in two data sets.

use std::collections::HashMap;

use crate::{Dataset, DecodeOptions, Result, decode_map};

/// Pairs of a picture of `one` and a picture of `other` (sample indices) that show the same pixels, compared by a BLAKE3 hash of
/// the decoded picture: whatever the file format, name and metadata. Each picture of `other` appears once, in order;
/// pictures that cannot be decoded in none.
///
/// # Errors
/// As [`decode`](crate::decode()).
pub fn same_pictures(
    one: &Dataset,
    other: &Dataset,
    options: &DecodeOptions,
) -> Result<Vec<(usize, usize)>> {
    let mut first: HashMap<blake3::Hash, usize> = HashMap::new();
    each_hash(one, options, |index, hash| {
        first.entry(hash).or_insert(index);
    })?;
    let mut pairs = Vec::new();
    each_hash(other, options, |index, hash| {
        pairs.extend(first.get(&hash).map(|&i| (i, index)));
    })?;
    Ok(pairs)
}

fn each_hash(
    dataset: &Dataset,
    options: &DecodeOptions,
    on_hash: impl FnMut(usize, blake3::Hash),
) -> Result<()> {
    let hash = |_, picture: crate::DecodedImage| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&picture.width.to_le_bytes());
        hasher.update(&picture.pixels);
        hasher.finalize()
    };
    decode_map(dataset, options, hash, on_hash).map(drop)
}
