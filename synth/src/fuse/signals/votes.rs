//! Private images vote for the synthetic ones that they look like and unlike (WASP, Zou et al. 2025, section 3.2).

use super::influence::Labelled;

/// Votes for every synthetic image.
#[derive(Clone, Debug, PartialEq)]
pub struct Votes {
    /// By private images that it is among the nearest of.
    pub near: Vec<f64>,
    /// By private images that it is among the furthest of.
    pub far: Vec<f64>,
}

/// Lets every private image vote for its `neighbours` nearest synthetic images of its class with weights 1, 1/2, 1/4, .., and for its
/// furthest likewise; of equal distances the earlier image comes first. One private image moves the near and the far votes together by
/// at most sqrt(8/3) = 1.633 in L2. Both sets have features of `width` values.
pub fn votes(
    private: Labelled<'_>,
    synthetic: Labelled<'_>,
    width: usize,
    neighbours: usize,
) -> Votes {
    let mut votes = Votes {
        near: vec![0.0; synthetic.labels.len()],
        far: vec![0.0; synthetic.labels.len()],
    };
    for (row, label) in private.features.chunks_exact(width).zip(private.labels) {
        let mut distances: Vec<(f32, usize)> = synthetic
            .features
            .chunks_exact(width)
            .zip(synthetic.labels)
            .enumerate()
            .filter(|(_, (_, of))| *of == label)
            .map(|(image, (other, _))| (squared_distance(row, other), image))
            .collect();
        distances.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let weights = (0..neighbours).map(|place| 0.5f64.powi(place as i32));
        for ((_, image), weight) in distances.iter().zip(weights.clone()) {
            votes.near[*image] += weight;
        }
        distances.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for ((_, image), weight) in distances.iter().zip(weights) {
            votes.far[*image] += weight;
        }
    }
    votes
}

fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::fuse::golden::golden;

    #[derive(Deserialize)]
    struct Case {
        private: Vec<Vec<f32>>,
        private_labels: Vec<u32>,
        synthetic: Vec<Vec<f32>>,
        synthetic_labels: Vec<u32>,
        neighbours: usize,
        near: Vec<f64>,
        far: Vec<f64>,
    }

    #[test]
    fn votes_agree_with_numpy() {
        let case: Case = golden("votes");
        let (private, synthetic) = (case.private.concat(), case.synthetic.concat());
        let found = votes(
            Labelled {
                features: &private,
                labels: &case.private_labels,
            },
            Labelled {
                features: &synthetic,
                labels: &case.synthetic_labels,
            },
            case.private[0].len(),
            case.neighbours,
        );
        for (found, expected) in [(found.near, case.near), (found.far, case.far)] {
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-12);
            }
        }
    }
}
