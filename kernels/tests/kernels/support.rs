//! Random values, the sets under test, and comparison.

use half::bf16;
use promptfed_kernels::{Activation, ENVIRONMENT, InstructionSet, Kernels, Precision};
use proptest::prelude::*;

/// The kernels of every set under test.
pub(crate) fn all() -> Vec<Kernels> {
    let sets = match std::env::var(ENVIRONMENT) {
        Ok(name) => vec![name.parse::<InstructionSet>().unwrap()],
        Err(_) => InstructionSet::available(),
    };
    sets.into_iter()
        .map(|set| Kernels::with(set).unwrap())
        .collect()
}

/// Both precisions and the relative error they may have.
pub(crate) const PRECISIONS: [(Precision, f64); 2] =
    [(Precision::F32, 1e-5), (Precision::Bf16, 1e-2)];

/// Values in -1..1 from a linear congruential generator.
pub(crate) fn values(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(n).collect()
}

/// The nearest bfloat16 of every value, ties to even.
pub(crate) fn rounded(values: &[f32]) -> Vec<f32> {
    let nearest = |v: &f32| {
        let bits = v.to_bits();
        f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000)
    };
    values.iter().map(nearest).collect()
}

/// The values in bf16.
pub(crate) fn narrow(values: &[f32]) -> Vec<bf16> {
    values.iter().map(|v| bf16::from_f32(*v)).collect()
}

/// Subnormal values as zeros, which bf16 instructions make of them.
pub(crate) fn flushed(values: &[bf16]) -> Vec<bf16> {
    let flush = |v: &bf16| match v.classify() {
        std::num::FpCategory::Subnormal => bf16::ZERO,
        _ => *v,
    };
    values.iter().map(flush).collect()
}

/// The values in f32.
pub(crate) fn widen(values: &[bf16]) -> Vec<f32> {
    values.iter().map(|v| v.to_f32()).collect()
}

/// The tolerance of a precision for sums of `terms` products of values in -1..1, which are about sqrt(terms) / 3.
pub(crate) fn of_sums(precision: (Precision, f64), terms: usize, expected: &[f64]) -> f64 {
    of_usual(precision, (terms as f64).sqrt() / 3.0, expected)
}

/// The tolerance of a precision for weighted means of `count` values in -1..1, which are about 1 / sqrt(3 count).
pub(crate) fn of_means(precision: (Precision, f64), count: usize, expected: &[f64]) -> f64 {
    of_usual(precision, (3.0 * count as f64).sqrt().recip(), expected)
}

/// A few results may all be smaller than is `usual`, and bf16's rounding is not smaller with them. f32 is held to the largest value as it is.
fn of_usual((precision, tolerance): (Precision, f64), usual: f64, expected: &[f64]) -> f64 {
    if precision == Precision::F32 {
        return tolerance;
    }
    let largest = expected.iter().fold(1e-30, |a: f64, b| a.max(b.abs()));
    tolerance * (usual / largest).max(1.0)
}

/// Fails if any value is off by more than `tolerance` of the largest expected one.
pub(crate) fn assert_close(found: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-30, |a: f64, b| a.max(b.abs()));
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*f) - e).abs() / scale;
        assert!(
            error <= tolerance,
            "{what}: value {i} is {f} and not {e}, off by {error:e} of {scale}"
        );
    }
}

/// Few cases: each runs under every set and precision. The environment variable `PROPTEST_CASES` asks for more or
/// fewer.
pub(crate) fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").map_or(24, |_| default.cases),
        failure_persistence: None,
        ..default
    }
}

/// An activation and what it is in f64.
type Formula = (Activation, fn(f64) -> f64);

/// All activations.
pub(crate) const ACTIVATIONS: [Formula; 7] = [
    (Activation::None, |x| x),
    (Activation::Relu, |x| x.max(0.0)),
    (Activation::Relu6, |x| x.clamp(0.0, 6.0)),
    (Activation::Silu, silu),
    (Activation::Gelu, |x| {
        let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
        0.5 * x * (1.0 + inner.tanh())
    }),
    (Activation::GeluErf, |x| x * normal_below(x)),
    (Activation::QuickGelu, |x| x / (1.0 + (-1.702 * x).exp())),
];

/// The probability that a standard normal number is below x: Simpson's rule over its density from 0.
fn normal_below(x: f64) -> f64 {
    const STEPS: usize = 200;
    let step = x / STEPS as f64;
    let density = |i: usize| (-(i as f64 * step).powi(2) / 2.0).exp();
    let inner = (1..STEPS).map(|i| [2.0, 4.0][i % 2] * density(i));
    let sum = density(0) + inner.sum::<f64>() + density(STEPS);
    0.5 + sum * step / 3.0 / (2.0 * std::f64::consts::PI).sqrt()
}

/// x in f64 through an activation in f64.
pub(crate) fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

/// Runs `f` on a pool of so many threads.
pub(crate) fn with_threads<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build().unwrap().install(f)
}
