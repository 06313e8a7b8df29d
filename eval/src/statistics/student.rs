//! Means of a few values: Student's t.

use super::{CONFIDENCE_LEVEL, Interval};
use std::f64::consts::{FRAC_2_PI, FRAC_PI_2};

/// The 95 % interval of the mean of independent values by Student's t: `mean ± t s / √n` with `n - 1` degrees of freedom. None of fewer than
/// two values, or where one is not finite.
pub(crate) fn mean_interval(values: &[f64]) -> Option<Interval> {
    if values.len() < 2 {
        return None;
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let error = (squares / (count - 1.0) / count).sqrt();
    let reach = two_sided_quantile(CONFIDENCE_LEVEL, values.len() - 1) * error;
    (mean.is_finite() && reach.is_finite()).then_some(Interval {
        low: mean - reach,
        high: mean + reach,
    })
}

/// What a variable with Student's t distribution stays below, its sign aside, with probability `level`, in (0, 1), at so many degrees of
/// freedom, from 1.
pub(super) fn two_sided_quantile(level: f64, freedom: usize) -> f64 {
    let (mut low, mut high) = (0.0, FRAC_PI_2);
    // To the last bit of an angle.
    for _ in 0..64 {
        let middle = 0.5 * (low + high);
        if probability_within(middle, freedom) < level {
            low = middle;
        } else {
            high = middle;
        }
    }
    (freedom as f64).sqrt() * low.tan()
}

/// `P(|T| < √freedom tan(angle))`: Abramowitz and Stegun 1964, equations 26.7.3 and 26.7.4, which hold for whole degrees of freedom.
fn probability_within(angle: f64, freedom: usize) -> f64 {
    let (sine, cosine) = angle.sin_cos();
    let is_odd = freedom % 2 == 1;
    let mut term = if is_odd { cosine } else { 1.0 };
    let mut sum = 0.0;
    for k in 1..=freedom / 2 {
        sum += term;
        let even = 2.0 * k as f64;
        let ratio = if is_odd {
            even / (even + 1.0)
        } else {
            (even - 1.0) / even
        };
        term *= ratio * cosine * cosine;
    }
    if is_odd {
        FRAC_2_PI * (angle + sine * sum)
    } else {
        sine * sum
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden::golden;
    use super::*;

    #[test]
    fn quantiles_and_intervals_are_scipys() {
        let golden = golden();
        assert!(!golden.quantiles.is_empty() && !golden.means.is_empty());
        for (level, freedom, expected) in golden.quantiles {
            let found = two_sided_quantile(level, freedom);
            assert!(
                (found / expected - 1.0).abs() < 1e-9,
                "{level} {freedom}: {found}, not {expected}"
            );
        }
        for case in golden.means {
            let found = mean_interval(&case.values).unwrap();
            assert!((found.low - case.low).abs() < 1e-9, "{found:?}");
            assert!((found.high - case.high).abs() < 1e-9, "{found:?}");
        }
    }

    #[test]
    fn one_value_has_no_interval() {
        assert_eq!(mean_interval(&[]), None);
        assert_eq!(mean_interval(&[0.5]), None);
        assert_eq!(mean_interval(&[0.5, f64::NAN]), None);
        assert_eq!(mean_interval(&[f64::MAX, -f64::MAX]), None);
        assert_eq!(
            mean_interval(&[0.5, 0.5]),
            Some(Interval {
                low: 0.5,
                high: 0.5
            })
        );
    }
}
