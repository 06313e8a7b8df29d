//! Images as rows of patches.

use super::config::Config;

/// For every value of an image in patches [patches, channel, row, column], its place in a plane-by-plane image
/// [3, size, size].
pub(super) fn planar_positions(config: &Config) -> Vec<usize> {
    let (size, p) = (config.size, config.patch);
    let grid = size / p;
    let mut positions = Vec::with_capacity(3 * size * size);
    for patch in 0..grid * grid {
        let (top, left) = (patch / grid * p, patch % grid * p);
        for channel in 0..3 {
            for row in 0..p {
                let start = channel * size * size + (top + row) * size + left;
                positions.extend(start..start + p);
            }
        }
    }
    positions
}

/// Plane-by-plane values to patches.
pub(super) fn to_patches(planar: &[f32], positions: &[usize]) -> Vec<f32> {
    positions.iter().map(|i| planar[*i]).collect()
}

/// Patches to interleaved values [size, size, 3].
pub(super) fn to_interleaved(patches: &[f32], positions: &[usize]) -> Vec<f32> {
    let plane = positions.len() / 3;
    let mut values = vec![0.0; positions.len()];
    for (value, i) in patches.iter().zip(positions) {
        values[i % plane * 3 + i / plane] = *value;
    }
    values
}
