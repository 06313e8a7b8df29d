//! Distances between feature vectors, a block of rows at a time, so that memory does not grow with the product of two sets.

use candle_core::{Device, Tensor};

use super::{FeatureSet, QualityError};

/// Rows whose distances are held at once.
const BLOCK: usize = 512;

/// The share of |a|^2 + |b|^2 below which a distance by the products is mostly rounding.
const CANCELS: f32 = 1e-3;

/// Hands the squared Euclidean distances of every row of `from` to all rows of `to` to `on_row`, in order:
/// |a - b|^2 = |a|^2 + |b|^2 - 2 a.b, and of near rows the sum of the squared differences.
pub(super) fn squared_distances(
    from: &FeatureSet,
    to: &FeatureSet,
    mut on_row: impl FnMut(usize, &mut [f32]),
) -> Result<(), QualityError> {
    from.check_width(to)?;
    if from.is_empty() || to.is_empty() {
        return Ok(());
    }
    let width = from.width();
    // Around the mean, so that what all images share does not take the precision of what tells them apart.
    let mean = mean(to);
    let (from, to) = (centred(from, &mean), centred(to, &mean));
    let columns = Tensor::from_slice(&to, (to.len() / width, width), &Device::Cpu)?.t()?;
    let norms = squared_norms(&to, width);
    for (block, rows) in from.chunks(BLOCK * width).enumerate() {
        let lengths = squared_norms(rows, width);
        let block_of_rows = Tensor::from_slice(rows, (lengths.len(), width), &Device::Cpu)?;
        let products = block_of_rows.matmul(&columns)?;
        let mut products = products.flatten_all()?.to_vec1::<f32>()?;
        let distances = products.chunks_exact_mut(norms.len());
        let rows = rows.chunks_exact(width).zip(lengths);
        for (i, (distances, (row, length))) in distances.zip(rows).enumerate() {
            let others = to.chunks_exact(width).zip(&norms);
            for (value, (other, norm)) in distances.iter_mut().zip(others) {
                let lengths = length + norm;
                *value = lengths - 2.0 * *value;
                if *value < CANCELS * lengths {
                    *value = row.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum();
                }
            }
            on_row(block * BLOCK + i, distances);
        }
    }
    Ok(())
}

/// The distance of every row to its `k`th nearest other row, counted from 1.
pub(super) fn radii(set: &FeatureSet, k: usize) -> Result<Vec<f32>, QualityError> {
    let mut radii = Vec::with_capacity(set.len());
    squared_distances(set, set, |index, row| {
        // The row itself, whatever rounding says of its own distance.
        row[index] = 0.0;
        let (_, kth, _) = row.select_nth_unstable_by(k.min(row.len() - 1), f32::total_cmp);
        radii.push(kth.sqrt());
    })?;
    Ok(radii)
}

/// The distance of every row of `from` to the nearest row of `to`; infinite where there is none.
pub(super) fn nearest(from: &FeatureSet, to: &FeatureSet) -> Result<Vec<f32>, QualityError> {
    let mut distances = vec![f32::INFINITY; from.len()];
    squared_distances(from, to, |index, row| {
        distances[index] = row.iter().copied().fold(f32::INFINITY, f32::min).sqrt();
    })?;
    Ok(distances)
}

fn mean(set: &FeatureSet) -> Vec<f32> {
    let mut sums = vec![0f64; set.width()];
    for row in set.values().chunks_exact(set.width()) {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += f64::from(*value);
        }
    }
    let n = set.len() as f64;
    sums.into_iter().map(|sum| (sum / n) as f32).collect()
}

fn centred(set: &FeatureSet, mean: &[f32]) -> Vec<f32> {
    let rows = set.values().chunks_exact(set.width());
    rows.flat_map(|row| row.iter().zip(mean).map(|(v, m)| v - m))
        .collect()
}

fn squared_norms(values: &[f32], width: usize) -> Vec<f32> {
    let rows = values.chunks_exact(width);
    rows.map(|row| row.iter().map(|v| v * v).sum()).collect()
}
