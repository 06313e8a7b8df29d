//! Where a mixture's components begin: k-means, begun with k-means++ (Arthur and Vassilvitskii 2007, section 2.2).

use super::{pick, squared_distance};
use crate::quality::FeatureSet;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Passes after which clusters are taken as they are.
const PASSES: usize = 20;

/// The cluster of each image, below `count`. Some of the numbers are nobody's where fewer images than that differ.
pub(super) fn clusters(set: &FeatureSet, count: usize, seed: u64) -> Vec<usize> {
    let precisions = vec![1.0; set.width()];
    let mut centres = far_apart(set, count, &precisions, seed);
    let mut of = vec![usize::MAX; set.len()];
    for _ in 0..PASSES {
        let rows = set.values().chunks_exact(set.width());
        let next: Vec<usize> = rows
            .map(|row| nearest(row, &centres, &precisions))
            .collect();
        if next == of {
            break;
        }
        of = next;
        for (cluster, centre) in centres.iter_mut().enumerate() {
            if let Some(mean) = mean(set, of.iter().map(|c| *c == cluster)) {
                *centre = mean;
            }
        }
    }
    of
}

/// Images of which each is drawn in proportion to its squared distance from the nearest of those before it.
fn far_apart(set: &FeatureSet, count: usize, precisions: &[f64], seed: u64) -> Vec<Vec<f64>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut centres: Vec<Vec<f64>> = Vec::new();
    if set.is_empty() {
        return centres;
    }
    let mut apart = vec![f64::INFINITY; set.len()];
    let mut next = Some(rng.random_range(0..set.len()));
    while let Some(place) = next {
        let row = &set.values()[place * set.width()..][..set.width()];
        let centre: Vec<f64> = row.iter().map(|v| f64::from(*v)).collect();
        let rows = set.values().chunks_exact(set.width());
        for (apart, row) in apart.iter_mut().zip(rows) {
            *apart = apart.min(squared_distance(row, &centre, precisions));
        }
        centres.push(centre);
        next = if centres.len() < count {
            pick(&apart, &mut rng)
        } else {
            None
        };
    }
    centres
}

fn nearest(row: &[f32], centres: &[Vec<f64>], precisions: &[f64]) -> usize {
    let each = centres
        .iter()
        .map(|centre| squared_distance(row, centre, precisions));
    let best = each.enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
    best.map_or(0, |(cluster, _)| cluster)
}

/// The mean of the rows that are `chosen`, if there are any.
fn mean(set: &FeatureSet, chosen: impl Iterator<Item = bool>) -> Option<Vec<f64>> {
    let mut sums = vec![0.0; set.width()];
    let mut count = 0u32;
    let rows = set.values().chunks_exact(set.width());
    for (row, _) in rows.zip(chosen).filter(|(_, chosen)| *chosen) {
        count += 1;
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += f64::from(*value);
        }
    }
    sums.iter_mut().for_each(|sum| *sum /= f64::from(count));
    (count > 0).then_some(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_that_are_alike_come_together() {
        let places = [0.0, 0.2, 8.0, 8.1, 8.2, -5.0, -5.3];
        let set = FeatureSet::new(1, places.to_vec()).unwrap();
        for seed in 0..5 {
            let found = clusters(&set, 3, seed);
            assert_eq!(found[0], found[1]);
            assert!(found[2] == found[3] && found[3] == found[4]);
            assert_eq!(found[5], found[6]);
            assert!(found[0] != found[2] && found[2] != found[5] && found[0] != found[5]);
        }
    }

    #[test]
    fn images_that_do_not_differ_are_one_cluster() {
        let set = FeatureSet::new(2, vec![1.0; 12]).unwrap();
        assert_eq!(clusters(&set, 4, 7), [0; 6]);
        let none = FeatureSet::new(2, Vec::new()).unwrap();
        assert!(clusters(&none, 4, 7).is_empty());
    }
}
