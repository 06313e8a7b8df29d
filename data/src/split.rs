//! Stratified splits.

use std::collections::BTreeMap;

use rand::seq::SliceRandom;

use crate::seed;

/// Splits sample indices into `(kept, held_out)`, both ascending: `fraction` of every class is held out, rounded, drawn
/// at random. With a fraction strictly between 0 and 1, a class of two or more samples has at least one on either side,
/// and a single sample is kept. Fractions are clamped to 0..=1; NaN holds out nothing.
pub fn stratified_split(labels: &[u32], fraction: f64, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let fraction = if fraction.is_nan() {
        0.0
    } else {
        fraction.clamp(0.0, 1.0)
    };
    let mut rng = seed::rng("stratified split", seed, &fraction.to_string());
    let mut classes: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (sample, &label) in labels.iter().enumerate() {
        classes.entry(label).or_default().push(sample);
    }
    let mut kept = Vec::new();
    let mut held_out = Vec::new();
    for samples in classes.values_mut() {
        samples.shuffle(&mut rng);
        let (held, rest) = samples.split_at(held_out_of(samples.len(), fraction));
        held_out.extend_from_slice(held);
        kept.extend_from_slice(rest);
    }
    kept.sort_unstable();
    held_out.sort_unstable();
    (kept, held_out)
}

fn held_out_of(samples: usize, fraction: f64) -> usize {
    let rounded = (samples as f64 * fraction).round() as usize;
    if fraction == 0.0 || fraction == 1.0 {
        return rounded;
    }
    match samples {
        0 | 1 => 0,
        _ => rounded.clamp(1, samples - 1),
    }
}
