//! The interval of a difference between two methods, of whose seeds and of whose test images there could have been others.

use super::student::two_sided_quantile;
use super::{CONFIDENCE_LEVEL, Interval};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// How often images and seeds are drawn anew.
pub(crate) const RESAMPLES: usize = 10_000;

/// What makes two differences the same: they are means over seeds and clients, and such a sum rounds in one way or another.
const STEP: f64 = 1e-12;

/// What a standard normal variable stays below, its sign aside, with probability [`CONFIDENCE_LEVEL`].
const NORMAL: f64 = 1.959_963_984_540_054;

/// The 95 % interval of the mean of `differences [seeds, images]`, by a bootstrap of both: the percentiles of means over images drawn
/// with replacement and over seeds drawn with replacement. None of fewer than two images, of rows that differ in length, or where a value
/// is not finite. With one seed, of the images alone.
///
/// Every seed sees the same images, so that images and seeds are drawn crosswise and not one inside the other (Owen 2007, "The Pigeonhole
/// Bootstrap"); what the draws of both do to the mean is added up, without their product, for which that bootstrap is too wide. A bootstrap
/// of n values is too narrow by about `√((n - 1) / n) z / t`, which is much for the few seeds that there are: what a draw does is stretched
/// by the inverse, which for a normal bootstrap comes to the expanded percentile interval of Hesterberg 2015, "What Teachers Should Know
/// About the Bootstrap".
pub(crate) fn difference_interval(differences: &[Vec<f64>], seed: u64) -> Option<Interval> {
    let seeds = differences.len();
    let images = differences.first()?.len();
    let is_whole = |row: &Vec<f64>| row.len() == images && row.iter().all(|d| d.is_finite());
    if images < 2 || !differences.iter().all(is_whole) {
        return None;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let by_image: Vec<f64> = (0..images)
        .map(|image| differences.iter().map(|row| row[image]).sum::<f64>() / seeds as f64)
        .collect();
    let by_seed: Vec<f64> = differences.iter().map(|row| mean(row)).collect();
    let centre = mean(&by_image);
    let (of_images, of_seeds) = (stretch(images), stretch(seeds));
    let (images, seeds) = (Tally::of(&by_image), Tally::of(&by_seed));
    let resample = |number: usize| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number as u64);
        centre
            + of_images * (images.mean_of_draws(&mut rng) - centre)
            + of_seeds * (seeds.mean_of_draws(&mut rng) - centre)
    };
    let mut means: Vec<f64> = (0..RESAMPLES).into_par_iter().map(resample).collect();
    means.sort_by(f64::total_cmp);
    let tail = 0.5 * (1.0 - CONFIDENCE_LEVEL);
    Some(Interval {
        low: percentile(&means, tail),
        high: percentile(&means, 1.0 - tail),
    })
}

/// By how much the bootstrap of the mean of so many values is too narrow; 0 of one value, which is not drawn.
fn stretch(count: usize) -> f64 {
    if count < 2 {
        return 0.0;
    }
    let n = count as f64;
    (n / (n - 1.0)).sqrt() * two_sided_quantile(CONFIDENCE_LEVEL, count - 1) / NORMAL
}

/// Values, and how often each is there. Differences between two methods take few values, so that how often each of them is drawn (a multinomial
/// of their counts) takes far fewer draws than the values one by one.
struct Tally {
    values: Vec<(f64, u64)>,
    count: u64,
}

impl Tally {
    fn of(values: &[f64]) -> Self {
        let mut counts: BTreeMap<i64, (f64, u64)> = BTreeMap::new();
        for value in values {
            let place = (value / STEP).round() as i64;
            counts.entry(place).or_insert((*value, 0)).1 += 1;
        }
        Self {
            values: counts.into_values().collect(),
            count: values.len() as u64,
        }
    }

    /// The mean of as many values as there are, drawn with replacement.
    fn mean_of_draws(&self, rng: &mut ChaCha8Rng) -> f64 {
        let (mut draws, mut rest) = (self.count, self.count);
        let mut sum = 0.0;
        for (value, count) in &self.values {
            // Of the draws that no value before has taken.
            let share = *count as f64 / rest as f64;
            let drawn = Binomial::new(draws, share).map_or(draws, |of| of.sample(rng));
            sum += value * drawn as f64;
            draws -= drawn.min(draws);
            rest -= count;
        }
        sum / self.count as f64
    }
}

/// Between the two nearest of the sorted `values`, at least one, as NumPy's `quantile` has it.
fn percentile(values: &[f64], share: f64) -> f64 {
    let place = share * (values.len() - 1) as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    values[below] + (place - place.floor()) * (values[above] - values[below])
}

#[cfg(test)]
mod tests {
    use super::super::golden::golden;
    use super::*;

    #[test]
    fn of_one_seed_it_is_scipys_bootstrap_of_the_images() {
        let case = golden().bootstrap;
        let found = difference_interval(&[case.values], 4).unwrap();
        // Both draw 10,000 times.
        assert!((found.low - case.low).abs() < 0.006, "{found:?}");
        assert!((found.high - case.high).abs() < 0.006, "{found:?}");
    }

    /// 300 images, each 0.3 better with probability by its number; seeds shifted by what is given.
    fn rows(shifts: &[f64]) -> Vec<Vec<f64>> {
        let value = |image: usize, shift: f64| f64::from(u8::from(image * 7 % 10 < 3)) + shift;
        let row = |shift: &f64| (0..300).map(|image| value(image, *shift)).collect();
        shifts.iter().map(row).collect()
    }

    #[test]
    fn it_covers_what_is_known_and_is_the_same_for_the_same_seed() {
        let rows = rows(&[-0.02, 0.0, 0.02]);
        let found = difference_interval(&rows, 9).unwrap();
        assert!(found.low < 0.3 && 0.3 < found.high, "{found:?}");
        assert!(found.excludes_zero(), "{found:?}");
        assert_eq!(Some(found), difference_interval(&rows, 9));
        assert!((10..15).any(|seed| difference_interval(&rows, seed) != Some(found)));
    }

    #[test]
    fn seeds_that_disagree_widen_it_to_what_students_t_would_say() {
        let (alike, apart) = (rows(&[0.0; 3]), rows(&[-0.3, 0.0, 0.3]));
        let width = |rows: &[Vec<f64>]| {
            let Interval { low, high } = difference_interval(rows, 2).unwrap();
            high - low
        };
        assert!(width(&apart) > 5.0 * width(&alike));
        // Images that all say the same leave the seeds alone.
        let seeds = [-0.3, 0.0, 0.3].map(|shift| vec![0.1 + shift; 50]);
        let found = difference_interval(&seeds, 2).unwrap();
        let students = super::super::mean_interval(&[-0.2, 0.1, 0.4]).unwrap();
        let ratio = (found.high - found.low) / (students.high - students.low);
        assert!((0.9..1.2).contains(&ratio), "{ratio}");
    }

    #[test]
    fn what_cannot_be_drawn_has_no_interval() {
        assert_eq!(difference_interval(&[], 1), None);
        assert_eq!(difference_interval(&[vec![1.0]], 1), None);
        assert_eq!(difference_interval(&[vec![1.0, f64::NAN]], 1), None);
        assert_eq!(difference_interval(&[vec![1.0; 3], vec![1.0; 2]], 1), None);
    }

    #[test]
    fn draws_have_the_mean_and_the_spread_of_those_one_by_one() {
        // 0.2 on average, and a variance of 0.56: 0.6 less the square of the mean.
        let values: Vec<f64> = (0..50).map(|i| [1.0, 0.0, 0.0, 1.0, -1.0][i % 5]).collect();
        let tally = Tally::of(&values);
        assert_eq!(tally.values, [(-1.0, 10), (0.0, 20), (1.0, 20)]);
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let drawn: Vec<f64> = (0..4000).map(|_| tally.mean_of_draws(&mut rng)).collect();
        let mean = drawn.iter().sum::<f64>() / 4000.0;
        let variance = drawn.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / 3999.0;
        // Of one draw 0.56; of the mean of 50 of them 0.0112, known to within 2.2 %.
        assert!(
            (mean - 0.2).abs() < 5.0 * (0.0112_f64 / 4000.0).sqrt(),
            "{mean}"
        );
        assert!((variance / 0.0112 - 1.0).abs() < 0.12, "{variance}");
        assert_eq!(Tally::of(&[0.25; 7]).mean_of_draws(&mut rng), 0.25);
    }

    #[test]
    fn percentiles_lie_between_values() {
        let values = [0.0, 1.0, 2.0, 3.0];
        assert_eq!(
            [0.0, 0.5, 1.0].map(|p| percentile(&values, p)),
            [0.0, 1.5, 3.0]
        );
    }
}
