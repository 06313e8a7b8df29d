//! How many images each backend gets, by class and domain: a softmax of how useful its images are, in whole numbers.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How scores become shares.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Softmax {
    /// Temperature: scores that differ by it have shares that differ by a factor of e. Above 0.
    pub temperature: f64,
    /// The part that is dealt evenly whatever the scores, so that every backend goes on being tried. 0 to 1.
    pub floor: f64,
}

impl Default for Softmax {
    /// 5 points of accuracy for a factor of e; a fifth dealt evenly.
    fn default() -> Self {
        Self {
            temperature: 0.05,
            floor: 0.2,
        }
    }
}

impl Softmax {
    /// Checks both numbers.
    ///
    /// # Errors
    /// [`Error::Fusion`] for the first out of range.
    pub fn validate(&self) -> Result<()> {
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            return Err(Error::Fusion(format!(
                "the temperature is {}; give a number above 0",
                self.temperature
            )));
        }
        if !(0.0..=1.0).contains(&self.floor) {
            return Err(Error::Fusion(format!(
                "the floor is {}; give a share from 0 to 1",
                self.floor
            )));
        }
        Ok(())
    }

    /// The share of each score: `floor / K + (1 - floor) softmax(score / temperature)`. They sum to 1.
    pub fn shares(&self, scores: &[f64]) -> Vec<f64> {
        let peak = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers = scores.iter().map(|s| ((s - peak) / self.temperature).exp());
        let powers: Vec<f64> = powers.collect();
        let sum: f64 = powers.iter().sum();
        let even = self.floor / scores.len().max(1) as f64;
        let share = |power: f64| even + (1.0 - self.floor) * power / sum;
        powers.into_iter().map(share).collect()
    }
}

/// Whole numbers that add up to `total` and are in proportion to `parts` (largest remainder; of equal remainders the first), none above
/// its cap as long as the caps allow the total. What a cap cuts off goes to the others in their proportion.
pub fn apportion(parts: &[f64], total: u64, caps: &[u64]) -> Vec<u64> {
    let mut seats = vec![0; parts.len()];
    let total = total.min(
        caps.iter()
            .fold(0, |sum: u64, cap| sum.saturating_add(*cap)),
    );
    let mut left = total;
    loop {
        let open: Vec<usize> = (0..parts.len()).filter(|&i| seats[i] < caps[i]).collect();
        if left == 0 || open.is_empty() {
            return seats;
        }
        let sum: f64 = open.iter().map(|&i| parts[i]).sum();
        let even = 1.0 / open.len() as f64;
        let exact = |i: usize| left as f64 * if sum > 0.0 { parts[i] / sum } else { even };
        let mut by_remainder: Vec<(f64, usize)> =
            open.iter().map(|&i| (exact(i).fract(), i)).collect();
        by_remainder.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let whole: u64 = open.iter().map(|&i| exact(i).floor() as u64).sum();
        let mut extra = left.saturating_sub(whole);
        let mut dealt = 0;
        for (_, i) in by_remainder {
            let mut wanted = exact(i).floor() as u64;
            if extra > 0 {
                wanted += 1;
                extra -= 1;
            }
            let given = wanted.min(caps[i] - seats[i]).min(left - dealt);
            seats[i] += given;
            dealt += given;
        }
        left -= dealt;
    }
}

/// How useful each backend's images are, by class and domain; higher is better.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// `[backend][domain][class]`
    pub values: Vec<Vec<Vec<f64>>>,
}

/// Images of the wider group that a small group's share is drawn towards.
const PRIOR_IMAGES: f64 = 10.0;

impl Scores {
    /// Shares named rightly, from `[backend][domain][class]` counts `(right, all)`. Few images say little: each share counts ten images
    /// more, as many of which are right as of the whole domain, and the domain's likewise of all the backend's.
    pub fn of_counts(counts: &[Vec<Vec<(f64, f64)>>]) -> Self {
        let share = |cells: &mut dyn Iterator<Item = &(f64, f64)>, prior: f64| {
            let (mut right, mut all) = (0.0, 0.0);
            for (cell_right, cell_all) in cells {
                right += cell_right;
                all += cell_all;
            }
            (right + PRIOR_IMAGES * prior) / (all + PRIOR_IMAGES)
        };
        let of_backend = |domains: &Vec<Vec<(f64, f64)>>| {
            let even = 1.0 / domains.first().map_or(1, Vec::len).max(1) as f64;
            let whole = share(&mut domains.iter().flatten(), even);
            let of_domain = |classes: &Vec<(f64, f64)>| {
                let domain = share(&mut classes.iter(), whole);
                let of_class = |cell| share(&mut std::iter::once(cell), domain);
                classes.iter().map(of_class).collect()
            };
            domains.iter().map(of_domain).collect()
        };
        Self {
            values: counts.iter().map(of_backend).collect(),
        }
    }

    /// What a backend's image got in votes against the mean image, from `[backend][domain][class]` counts `(votes, images)`: its part of
    /// the votes times all images over its own, as WASP weighs them (Zou et al. 2025). Each counts ten images more, with as many votes as
    /// the mean image gets.
    pub fn of_votes(counts: &[Vec<Vec<(f64, f64)>>]) -> Self {
        let mut values = counts.to_vec();
        let of_cell = |domain: usize, class: usize| counts.iter().map(move |d| d[domain][class]);
        for domains in &mut values {
            for (domain, classes) in domains.iter_mut().enumerate() {
                for (class, cell) in classes.iter_mut().enumerate() {
                    let (votes, images) = of_cell(domain, class)
                        .fold((0.0, 0.0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
                    let mean = if images > 0.0 { votes / images } else { 0.0 };
                    let own = (cell.0 + PRIOR_IMAGES * mean) / (cell.1 + PRIOR_IMAGES);
                    cell.0 = if mean > 0.0 { own / mean } else { 1.0 };
                }
            }
        }
        let votes = |classes: Vec<(f64, f64)>| classes.into_iter().map(|cell| cell.0).collect();
        let of_backend = |domains: Vec<Vec<_>>| domains.into_iter().map(votes).collect();
        Self {
            values: values.into_iter().map(of_backend).collect(),
        }
    }

    /// The scores of all backends for a domain and class.
    pub fn cell(&self, domain: usize, class: usize) -> Vec<f64> {
        let of = |domains: &Vec<Vec<f64>>| domains.get(domain)?.get(class).copied();
        self.values.iter().map(|d| of(d).unwrap_or(0.0)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::fuse::golden::golden;

    #[derive(Deserialize)]
    struct Case {
        scores: Vec<f64>,
        tau: f64,
        floor: f64,
        total: u64,
        shares: Vec<f64>,
        whole: Vec<u64>,
    }

    #[test]
    fn shares_and_whole_numbers_agree_with_numpy() {
        for case in golden::<Vec<Case>>("quotas") {
            let softmax = Softmax {
                temperature: case.tau,
                floor: case.floor,
            };
            let shares = softmax.shares(&case.scores);
            for (found, expected) in shares.iter().zip(&case.shares) {
                assert!((found - expected).abs() < 1e-12);
            }
            let caps = vec![u64::MAX; shares.len()];
            assert_eq!(apportion(&shares, case.total, &caps), case.whole);
        }
    }

    #[test]
    fn one_backend_gets_everything() {
        assert_eq!(Softmax::default().shares(&[0.3]), [1.0]);
        assert_eq!(apportion(&[1.0], 9, &[20]), [9]);
    }

    #[test]
    fn few_images_are_drawn_towards_their_domain() {
        let counts = vec![vec![
            vec![(1.0, 1.0), (0.0, 100.0)],
            vec![(50.0, 100.0), (50.0, 100.0)],
        ]];
        let scores = Scores::of_counts(&counts);
        let one = scores.values[0][0][0];
        // One right of one is no proof of 100 %.
        assert!((0.05..0.2).contains(&one), "{one}");
        assert!((scores.values[0][1][0] - 0.5).abs() < 0.02);
    }

    #[test]
    fn votes_are_counted_against_the_mean_image_however_many_voted() {
        let counts = |voters: f64| {
            let of = |votes: f64, images| vec![vec![(voters * votes, images), (0.0, images)]];
            vec![of(3.0, 1000.0), of(1.0, 1000.0), of(1.0, 250.0)]
        };
        let few = Scores::of_votes(&counts(1.0));
        // 5 votes for 2,250 images; the prior draws a little towards 1.
        for (found, expected) in few.cell(0, 0).iter().zip([1.35, 0.45, 1.8]) {
            assert!((found - expected).abs() < 0.05, "{few:?}");
        }
        let many = Scores::of_votes(&counts(40.0));
        for (a, b) in few.cell(0, 0).iter().zip(many.cell(0, 0)) {
            assert!((a - b).abs() < 1e-12);
        }
        assert_eq!(few.cell(0, 1), [1.0; 3], "nobody voted");
    }

    proptest! {
        #[test]
        fn whole_numbers_add_up_and_heed_their_caps(
            parts in prop::collection::vec((0f64..10.0, 0u64..50), 1..12),
            total in 0u64..300,
        ) {
            let (parts, caps): (Vec<f64>, Vec<u64>) = parts.into_iter().unzip();
            let seats = apportion(&parts, total, &caps);
            prop_assert_eq!(seats.iter().sum::<u64>(), total.min(caps.iter().sum()));
            prop_assert!(seats.iter().zip(&caps).all(|(seats, cap)| seats <= cap));
        }

        #[test]
        fn shares_sum_to_one_above_the_floor_whatever_the_order(
            scores in prop::collection::vec(-1f64..1.0, 1..8),
            temperature in 0.01f64..2.0,
            floor in 0f64..=1.0,
        ) {
            let softmax = Softmax { temperature, floor };
            let shares = softmax.shares(&scores);
            prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            prop_assert!(shares.iter().all(|s| *s >= floor / scores.len() as f64 - 1e-12));
            let reversed: Vec<f64> = scores.iter().rev().copied().collect();
            for (a, b) in softmax.shares(&reversed).iter().rev().zip(&shares) {
                prop_assert!((a - b).abs() < 1e-12);
            }
        }
    }
}
