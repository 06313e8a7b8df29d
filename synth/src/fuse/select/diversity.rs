use super::duplicates::TOGETHER;
use super::{Budget, Choice, Select};
use crate::Result;
use crate::fuse::candidates::Candidates;
use crate::fuse::quotas::apportion;
use crate::fuse::signals::Needs;
use crate::fuse::signals::outlying::scale_to_unit;

/// Images that lie far from each other: greedy k-centre on features of length 1 (Gonzalez 1985; for choosing training images Sener and
/// Savarese 2018).
pub struct Diversity;

impl Select for Diversity {
    fn needs(&self) -> Needs {
        Needs {
            features: true,
            ..Needs::default()
        }
    }

    fn choose(&self, candidates: &Candidates, budget: &Budget) -> Result<Vec<Choice>> {
        let features = candidates.signals.features()?;
        budget.each(|group| {
            let drawn = candidates.drawn(budget.seed, "parts", &group.members);
            let sizes: Vec<u64> = drawn
                .chunks(TOGETHER)
                .map(|part| part.len() as u64)
                .collect();
            let parts: Vec<f64> = sizes.iter().map(|size| *size as f64).collect();
            let keeps = apportion(&parts, group.keep as u64, &sizes);
            let mut kept = Vec::with_capacity(group.keep);
            for (part, keep) in drawn.chunks(TOGETHER).zip(keeps) {
                let mut values = features.read(part)?;
                let width = features.width();
                values.chunks_exact_mut(width).for_each(scale_to_unit);
                let taken = k_centre(&values, width, keep as usize);
                kept.extend(
                    taken
                        .into_iter()
                        .map(|at| Choice::new(part[at], "far from others")),
                );
            }
            Ok(kept)
        })
    }
}

/// `k` of the points `[n, width]`: first the one nearest to their mean, then always the one farthest from those taken; of equals the
/// first.
pub(super) fn k_centre(points: &[f32], width: usize, k: usize) -> Vec<usize> {
    let n = points.len() / width.max(1);
    if n == 0 || k == 0 {
        return Vec::new();
    }
    let mut mean = vec![0f64; width];
    for row in points.chunks_exact(width) {
        for (m, v) in mean.iter_mut().zip(row) {
            *m += f64::from(*v) / n as f64;
        }
    }
    let mean: Vec<f32> = mean.into_iter().map(|m| m as f32).collect();
    let from = |centre: &[f32]| -> Vec<f32> {
        let squares = |row: &[f32]| row.iter().zip(centre).map(|(a, b)| (a - b) * (a - b)).sum();
        points.chunks_exact(width).map(squares).collect()
    };
    let to_mean = from(&mean);
    let mut next = (0..n).fold(
        0,
        |best, i| if to_mean[i] < to_mean[best] { i } else { best },
    );
    let mut nearest = vec![f32::INFINITY; n];
    let mut taken = Vec::with_capacity(k.min(n));
    while taken.len() < k.min(n) {
        taken.push(next);
        for (near, distance) in nearest
            .iter_mut()
            .zip(from(&points[next * width..(next + 1) * width]))
        {
            *near = near.min(distance);
        }
        // Taken points are never taken again, even where all that is left equals one of them.
        nearest[next] = f32::NEG_INFINITY;
        next = (0..n).fold(
            0,
            |best, i| if nearest[i] > nearest[best] { i } else { best },
        );
    }
    taken
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::fuse::golden::golden;

    #[derive(Deserialize)]
    struct Case {
        points: Vec<Vec<f32>>,
        taken: Vec<usize>,
    }

    #[test]
    fn k_centre_agrees_with_numpy() {
        let case: Case = golden("diversity");
        let width = case.points[0].len();
        assert_eq!(
            k_centre(&case.points.concat(), width, case.taken.len()),
            case.taken
        );
    }

    #[test]
    fn equal_points_are_taken_once_each() {
        let mut taken = k_centre(&[1.0; 10], 2, 5);
        taken.sort_unstable();
        assert_eq!(taken, [0, 1, 2, 3, 4]);
    }
}
