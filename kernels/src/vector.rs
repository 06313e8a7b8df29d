//! Arithmetic on short slices, written so that the compiler vectorises it.
//!
//! Everything here is inlined into closures handed to `pulp`, which runs them with the widest
//! instructions of the processor. No fused multiply-add is used and sums run in a fixed order, so
//! the results are the same on every processor.

use crate::exponential::{COEFFICIENTS, LEADING};

const LANES: usize = 16;

/// Sum of the values `map` makes of the elements of `x`.
#[inline(always)]
pub(crate) fn sum(x: &[f32], map: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = x.as_chunks::<LANES>();
    let mut lanes = [0f32; LANES];
    for chunk in chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane += map(*v);
        }
    }
    for (lane, v) in lanes.iter_mut().zip(rest) {
        *lane += map(*v);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// e^x with a relative error below 3e-7 + 7e-8 |x|; e^-87 below -87, infinity from 88.4 on. NaN stays NaN.
///
/// The integer part of x / ln 2 goes into the exponent, the rest through a polynomial: that of degree 5 that is 1 at 0
/// and whose largest relative error from 2^x on [-1/2, 1/2] is smallest.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 89.0) * std::f32::consts::LOG2_E;
    let shifted = x + ROUND;
    let r = x - (shifted - ROUND);
    let mut p = LEADING;
    for coefficient in COEFFICIENTS {
        p = p * r + coefficient;
    }
    let exponent = shifted
        .to_bits()
        .wrapping_add(127u32.wrapping_sub(ROUND.to_bits()));
    p * f32::from_bits(exponent << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_accurate_over_its_range() {
        for i in -870_000..=880_000 {
            let x = i as f32 / 10_000.0;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            let most = 3e-7 + 7e-8 * f64::from(x.abs());
            assert!(error < most, "exp({x}) is off by {error:e}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), exp(-87.0));
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp(88.4), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn sum_counts_every_element() {
        for n in [0, 1, 15, 16, 17, 384, 1000] {
            let x: Vec<f32> = (0..n).map(|i| i as f32).collect();
            assert_eq!(sum(&x, |v| 2.0 * v), (n * n.max(1) - n) as f32);
        }
    }
}
