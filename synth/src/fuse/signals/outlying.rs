//! How far an image lies from every class in a feature space: what looks like nothing that the sets are of.

use super::super::features::FeatureFile;
use crate::Result;

/// Of every image, the cosine distance (0 to 2) of its features, less their mean over all images, from the centre of the nearest class.
///
/// The centre of a class is the mean of its images' features, less the mean of all, each scaled to length 1.
///
/// # Errors
/// If the file cannot be read.
pub fn outlying(features: &FeatureFile, labels: &[u32], classes: usize) -> Result<Vec<f32>> {
    let width = features.width();
    let mut mean = vec![0f64; width];
    features.each_row(|_, row| add(&mut mean, row))?;
    mean.iter_mut()
        .for_each(|m| *m /= labels.len().max(1) as f64);
    let mut centres = vec![vec![0f64; width]; classes];
    features.each_row(|image, row| {
        let unit = unit(row, &mean);
        if let Some(centre) = centres.get_mut(labels[image] as usize) {
            add(centre, &unit);
        }
    })?;
    let centres: Vec<Vec<f32>> = centres
        .into_iter()
        .filter(|centre| centre.iter().any(|v| *v != 0.0))
        .map(|centre| {
            let length = centre.iter().map(|v| v * v).sum::<f64>().sqrt();
            centre.iter().map(|v| (v / length) as f32).collect()
        })
        .collect();
    let mut distances = Vec::with_capacity(labels.len());
    features.each_row(|_, row| {
        let unit = unit(row, &mean);
        let cosine = |centre: &Vec<f32>| dot(centre, &unit);
        let nearest = centres.iter().map(cosine).fold(-1.0, f32::max);
        distances.push(1.0 - nearest);
    })?;
    Ok(distances)
}

fn add(sums: &mut [f64], row: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum += f64::from(*value);
    }
}

fn unit(row: &[f32], mean: &[f64]) -> Vec<f32> {
    let mut row: Vec<f32> = row.iter().zip(mean).map(|(v, m)| v - *m as f32).collect();
    scale_to_unit(&mut row);
    row
}

/// Scales a vector to length 1; one of zeros stays.
pub(in crate::fuse) fn scale_to_unit(row: &mut [f32]) {
    let length = dot(row, row).sqrt();
    if length > 0.0 {
        row.iter_mut().for_each(|v| *v /= length);
    }
}

pub(in crate::fuse) fn dot(a: &[f32], b: &[f32]) -> f32 {
    // Eight sums, which a processor forms side by side.
    let mut sums = [0f32; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest = a.remainder().iter().zip(b.remainder());
    let rest: f32 = rest.map(|(a, b)| a * b).sum();
    for (a, b) in a.zip(b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_like_no_class_lies_farthest() {
        let folder = tempfile::tempdir().unwrap();
        let mut rows = Vec::new();
        let mut labels = Vec::new();
        for i in 0..20u32 {
            let jitter = i as f32 * 0.01;
            labels.push(i % 2);
            rows.extend(if i % 2 == 0 {
                [1.0 + jitter, jitter, 0.0]
            } else {
                [jitter, 1.0 - jitter, 0.0]
            });
        }
        labels.push(0);
        rows.extend([0.0, 0.0, 5.0]);
        let features = FeatureFile::of(&folder.path().join("f"), 3, &rows).unwrap();
        let distances = outlying(&features, &labels, 2).unwrap();
        let most = (0..21).max_by(|a, b| distances[*a].total_cmp(&distances[*b]));
        assert_eq!(most, Some(20), "{distances:?}");
    }
}
