use half::bf16;
use promptfed_kernels::Activation;
use promptfed_kernels::group_norm::GroupNorm;
use promptfed_kernels::layer_norm::Modulation;
use proptest::prelude::*;

use crate::support::{all, assert_close, config, narrow, silu, values};

fn moments(values: impl Iterator<Item = f32> + Clone) -> (f64, f64) {
    let n = values.clone().count() as f64;
    let mean = values.clone().map(f64::from).sum::<f64>() / n;
    let variance = values.map(|v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
    (mean, variance)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn group_norm_agrees_with_f64(
        samples in 1usize..4, positions in 1usize..900, groups in 1usize..9, width in 1usize..9, far: bool, seed: u64
    ) {
        let channels = groups * width;
        let offset = if far { 20.0 } else { 0.0 };
        let x: Vec<f32> = values(seed, samples * positions * channels).iter().map(|v| v + offset).collect();
        let gamma = values(seed ^ 1, channels);
        let beta = values(seed ^ 2, channels);
        let mut expected = vec![0f64; x.len()];
        for sample in 0..samples {
            for group in 0..groups {
                let places = (0..positions).flat_map(|p| {
                    let first = (sample * positions + p) * channels + group * width;
                    first..first + width
                });
                let (mean, variance) = moments(places.clone().map(|i| x[i]));
                for i in places {
                    let c = i % channels;
                    let normed = (f64::from(x[i]) - mean) / (variance + 1e-5).sqrt();
                    expected[i] = silu(normed * f64::from(gamma[c]) + f64::from(beta[c]));
                }
            }
        }
        for kernels in all() {
            let mut output = vec![f32::NAN; x.len()];
            let norm = GroupNorm { groups, eps: 1e-5, gamma: &gamma, beta: &beta, activation: Activation::Silu };
            kernels.group_norm(&x, samples, norm, &mut output);
            let mut short = vec![bf16::NAN; x.len()];
            kernels.group_norm(&x, samples, norm, &mut short);
            prop_assert_eq!(narrow(&output), short);
            // A mean of 20 deviations takes as much of f32's precision.
            let tolerance = if far { 2e-4 } else { 1e-5 };
            if positions * width > 2 {
                assert_close(&output, &expected, tolerance, &format!("{kernels:?} {samples} {positions} {groups} {width}"));
            }
        }
    }

    #[test]
    fn gates_agree_with_f64(rows in 1usize..40, d in 1usize..100, seed: u64) {
        let x = values(seed, rows * 2 * d);
        let gated = |row: &[f32]| -> Vec<f64> {
            row[..d].iter().zip(&row[d..]).map(|(v, gate)| f64::from(*v) * silu(f64::from(*gate))).collect()
        };
        let expected: Vec<f64> = x.chunks_exact(2 * d).flat_map(gated).collect();
        for kernels in all() {
            let mut output = vec![f32::NAN; rows * d];
            kernels.gated(&x, d, Activation::Silu, &mut output);
            assert_close(&output, &expected, 1e-5, &format!("{kernels:?}"));
            let mut short = vec![bf16::NAN; rows * d];
            kernels.gated(&x, d, Activation::Silu, &mut short);
            prop_assert_eq!(narrow(&output), short);
        }
    }

    #[test]
    fn layer_norm_agrees_with_f64(samples in 1usize..4, rows in 1usize..40, d in 3usize..400, seed: u64) {
        let x = values(seed, samples * rows * d);
        let scale = values(seed ^ 1, samples * d);
        let shift = values(seed ^ 2, samples * d);
        let normed: Vec<f64> = x.chunks_exact(d).flat_map(|row| {
            let (mean, variance) = moments(row.iter().copied());
            row.iter().map(move |v| (f64::from(*v) - mean) / (variance + 1e-6).sqrt())
        }).collect();
        let with = |f: &dyn Fn(usize, usize, f64) -> f64| -> Vec<f64> {
            normed.iter().enumerate().map(|(i, v)| f(i / (rows * d) * d + i % d, i % d, *v)).collect()
        };
        let cases = [
            (Modulation::None, normed.clone()),
            (
                Modulation::Affine { scale: &scale[..d], shift: &shift[..d] },
                with(&|_, c, v| v * f64::from(scale[c]) + f64::from(shift[c])),
            ),
            (
                Modulation::PerSample { scale: &scale, shift: &shift },
                with(&|c, _, v| v * (1.0 + f64::from(scale[c])) + f64::from(shift[c])),
            ),
        ];
        for kernels in all() {
            for (modulation, expected) in &cases {
                let mut output = vec![f32::NAN; x.len()];
                kernels.layer_norm(&x, d, 1e-6, *modulation, &mut output);
                let mut short = vec![bf16::NAN; x.len()];
                kernels.layer_norm(&x, d, 1e-6, *modulation, &mut short);
                prop_assert_eq!(narrow(&output), short);
                assert_close(&output, expected, 1e-5, &format!("{kernels:?} {modulation:?}"));
            }
        }
    }
}
