//! Tests of a paired difference: were the two methods' names to be swapped on any image, would the difference be as large?

use super::RESAMPLES;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// What makes two differences the same: they are means over seeds and clients, and such a sum rounds in one way or another.
const STEP: f64 = 1e-12;

/// McNemar's exact test (1947; in its exact form the sign test): the two-sided p of the images that the first model alone has right and those
/// that the second alone has right, which are equally probable where the models are equally good. In (0, 1].
pub(crate) fn mcnemar(first: u64, second: u64) -> f64 {
    let all = first + second;
    let mut log = -(all as f64) * std::f64::consts::LN_2;
    let mut tail = 0.0;
    for k in 0..=first.min(second) {
        tail += log.exp();
        log += ((all - k) as f64 / (k + 1) as f64).ln();
    }
    (2.0 * tail).clamp(f64::MIN_POSITIVE, 1.0)
}

/// The sign-flip test: the two-sided p that the sum of `differences`, one an image, is as far from 0 where each has one sign or the other
/// with equal probability. With 10,000 drawn signs it is `(hits + 1) / (draws + 1)`, so not below 1e-4 (Phipson and Smyth 2010, "Permutation
/// P-values Should Never Be Zero"). In (0, 1].
pub(crate) fn sign_flip(differences: &[f64], seed: u64) -> f64 {
    // Images with the same difference need no signs of their own, but how many have which.
    let mut images: BTreeMap<u64, (u32, u32)> = BTreeMap::new();
    for difference in differences {
        let size = (difference.abs() / STEP).round() as u64;
        let (positive, negative) = images.entry(size).or_default();
        let count = if *difference > 0.0 {
            positive
        } else {
            negative
        };
        *count += 1;
    }
    images.remove(&0);
    if images.is_empty() {
        return 1.0;
    }
    let sum = |positive: u32, of: u32, size: u64| {
        (2 * i128::from(positive) - i128::from(of)) * i128::from(size)
    };
    let observed: i128 = images
        .iter()
        .map(|(size, (positive, negative))| sum(*positive, positive + negative, *size))
        .sum();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let hits = (0..RESAMPLES).filter(|_| {
        let drawn: i128 = images
            .iter()
            .map(|(size, (positive, negative))| {
                let of = positive + negative;
                sum(heads(of, &mut rng), of, *size)
            })
            .sum();
        // As far to within what the steps of all images round away.
        drawn.abs() + differences.len() as i128 >= observed.abs()
    });
    (hits.count() + 1) as f64 / (RESAMPLES + 1) as f64
}

/// How many of so many fair coins show heads.
fn heads(coins: u32, rng: &mut ChaCha8Rng) -> u32 {
    let whole: u32 = (0..coins / 64).map(|_| rng.next_u64().count_ones()).sum();
    let rest = match coins % 64 {
        0 => 0,
        rest => (rng.next_u64() >> (64 - rest)).count_ones(),
    };
    whole + rest
}

#[cfg(test)]
mod tests {
    use super::super::golden::golden;
    use super::*;

    #[test]
    fn mcnemar_is_that_of_statsmodels() {
        let cases = golden().mcnemar;
        assert!(!cases.is_empty());
        assert!(mcnemar(4000, 200) > 0.0);
        for case in cases {
            let found = mcnemar(case.first, case.second);
            assert!(
                (found / case.p - 1.0).abs() < 1e-9,
                "{} {}: {found}, not {}",
                case.first,
                case.second,
                case.p
            );
        }
    }

    #[test]
    fn signs_are_flipped_as_in_scipy() {
        let cases = golden().sign_flips;
        assert!(!cases.is_empty());
        for case in cases {
            let found = sign_flip(&case.values, 3);
            // Five times the error of 10,000 draws, and the draw that is added.
            let error = 5.0 * (case.p * (1.0 - case.p) / RESAMPLES as f64).sqrt() + 2e-4;
            assert!((found - case.p).abs() < error, "{found}, not {}", case.p);
            assert_eq!(found, sign_flip(&case.values, 3));
        }
    }

    #[test]
    fn of_one_size_it_is_mcnemar_and_of_none_there_is_no_difference() {
        let mut differences = vec![0.0; 50];
        differences.extend([1.0; 30]);
        differences.extend([-1.0; 14]);
        let exact = mcnemar(30, 14);
        assert!((sign_flip(&differences, 1) - exact).abs() < 0.01, "{exact}");
        assert_eq!(sign_flip(&[0.0; 9], 1), 1.0);
        assert_eq!(mcnemar(0, 0), 1.0);
    }

    #[test]
    fn coins_are_fair() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mean = |coins: u32, rng: &mut ChaCha8Rng| {
            let thrown: u32 = (0..2000).map(|_| heads(coins, rng)).sum();
            f64::from(thrown) / 2000.0
        };
        for coins in [1, 63, 64, 65, 200] {
            let expected = f64::from(coins) / 2.0;
            let error = 5.0 * (f64::from(coins) / 4.0 / 2000.0).sqrt();
            assert!((mean(coins, &mut rng) - expected).abs() < error, "{coins}");
        }
    }
}
