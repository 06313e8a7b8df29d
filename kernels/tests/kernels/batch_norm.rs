use half::bf16;
use promptfed_kernels::batch_norm::{NormRelu, ScaleShift};
use promptfed_kernels::{Values, ValuesMut};
use proptest::prelude::*;

use crate::support::{all, assert_close, config, narrow, values, widen};

const EPS: f32 = 1e-5;

/// Mean and biased variance of every channel in f64.
fn moments(x: &[f32], channels: usize) -> Vec<[f64; 2]> {
    let pixels = x.len() / channels;
    let column = |c: usize| x[c..].iter().step_by(channels).map(|v| f64::from(*v));
    (0..channels)
        .map(|c| {
            let mean = column(c).sum::<f64>() / pixels as f64;
            let variance = column(c).map(|v| (v - mean).powi(2)).sum::<f64>() / pixels as f64;
            [mean, variance]
        })
        .collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn batch_norm_and_its_gradient_agree_with_f64(
        pixels in 8usize..2000, channels in prop_oneof![1usize..40, Just(64), Just(75)], relu: bool, far: bool, seed: u64
    ) {
        let len = pixels * channels;
        let offset = if far { 20.0 } else { 0.0 };
        let x: Vec<f32> = values(seed, len).iter().map(|v| v + offset).collect();
        let (gamma, beta) = (values(seed ^ 1, channels), values(seed ^ 2, channels));
        let residual = values(seed ^ 3, len);
        let g = values(seed ^ 4, len);
        let exact = moments(&x, channels);
        let normed: Vec<f64> = x.iter().enumerate().map(|(i, v)| {
            let [mean, variance] = exact[i % channels];
            (f64::from(*v) - mean) / (variance + f64::from(EPS)).sqrt()
        }).collect();
        let result: Vec<f64> = normed.iter().enumerate().map(|(i, v)| {
            let y = v * f64::from(gamma[i % channels]) + f64::from(beta[i % channels]) + f64::from(residual[i]);
            if relu { y.max(0.0) } else { y }
        }).collect();
        // The gradient behind a ReLU of the values below: those of the residual, to be certain of their signs.
        let before: Vec<f64> = g.iter().zip(&residual).map(|(g, r)| if *r > 0.0 { f64::from(*g) } else { 0.0 }).collect();
        let (mut sums, mut products) = (vec![0f64; channels], vec![0f64; channels]);
        for (i, g) in before.iter().enumerate() {
            sums[i % channels] += g;
            products[i % channels] += g * normed[i];
        }
        let gradient: Vec<f64> = before.iter().enumerate().map(|(i, g)| {
            let c = i % channels;
            let factor = f64::from(gamma[c]) / (exact[c][1] + f64::from(EPS)).sqrt();
            factor * (g - (sums[c] + normed[i] * products[c]) / pixels as f64)
        }).collect();
        // A mean of 20 deviations takes as much of f32's precision.
        let tolerance = if far { 2e-4 } else { 1e-5 };
        for kernels in all() {
            let what = format!("{kernels:?} {pixels} {channels}");
            let statistics = kernels.batch_statistics(&x, channels);
            prop_assert_eq!(statistics.pixels, pixels);
            let [means, variances] = [0, 1].map(|i| exact.iter().map(|m| m[i]).collect::<Vec<f64>>());
            assert_close(&statistics.mean, &means, 1e-5, &what);
            assert_close(&statistics.variance, &variances, tolerance, &what);
            let factors = ScaleShift::new(&statistics.mean, &statistics.variance, &gamma, &beta, EPS);
            let mut output = vec![f32::NAN; len];
            kernels.scale_shift(&x, &factors, Some(Values::F32(&residual)), relu, &mut output);
            assert_close(&output, &result, tolerance, &what);
            let norm = NormRelu {
                values: Values::F32(&x),
                output: Values::F32(&residual),
                gradient: Values::F32(&g),
                statistics: &statistics,
                gamma: &gamma,
                eps: EPS,
            };
            let (mut input, mut through) = (vec![f32::NAN; len], vec![f32::NAN; len]);
            let affine = kernels.batch_norm_relu_gradient(norm, &mut input, Some(ValuesMut::F32(&mut through)));
            let mut alone = vec![f32::NAN; len];
            let again = kernels.batch_norm_relu_gradient(norm, &mut alone, None);
            prop_assert!(again == affine && alone == input, "{what}");
            assert_close(&through, &before, 0.0, &what);
            assert_close(&input, &gradient, tolerance, &what);
            // Sums of both signs: relative to how much is summed.
            let scale = (pixels as f64).sqrt();
            let close = |found: &[f32], exact: &[f64]| {
                found.iter().zip(exact).all(|(f, e)| (f64::from(*f) - e).abs() <= tolerance * scale)
            };
            prop_assert!(close(&affine.beta, &sums) && close(&affine.gamma, &products), "{what}");
        }
    }

    /// bf16 values are read as if they were f32, and bf16 results are the f32 ones rounded.
    #[test]
    fn bf16_values_and_results_are_those_of_f32_rounded(
        pixels in 1usize..2000, channels in prop_oneof![1usize..40, Just(64)], with_residual: bool, relu: bool, seed: u64
    ) {
        let short: Vec<Vec<bf16>> = (0..4).map(|i| narrow(&values(seed ^ i, pixels * channels))).collect();
        let wide: Vec<Vec<f32>> = short.iter().map(|v| widen(v)).collect();
        let (gamma, beta) = (values(seed ^ 8, channels), values(seed ^ 9, channels));
        for kernels in all() {
            let statistics = kernels.batch_statistics(&wide[0], channels);
            prop_assert_eq!(&statistics, &kernels.batch_statistics(&short[0], channels));
            let factors = ScaleShift::new(&statistics.mean, &statistics.variance, &gamma, &beta, EPS);
            let mut result = vec![f32::NAN; pixels * channels];
            let mut short_result = vec![bf16::NAN; pixels * channels];
            let residual = with_residual.then_some(Values::F32(&wide[1]));
            kernels.scale_shift(&wide[0], &factors, residual, relu, &mut result);
            let residual = with_residual.then_some(Values::Bf16(&short[1]));
            kernels.scale_shift(&short[0], &factors, residual, relu, &mut short_result);
            prop_assert_eq!(narrow(&result), short_result);
            let of = |values, output, gradient| NormRelu {
                values, output, gradient, statistics: &statistics, gamma: &gamma, eps: EPS,
            };
            let norm = of(Values::F32(&wide[0]), Values::F32(&wide[2]), Values::F32(&wide[3]));
            let (mut to, mut behind) = (vec![f32::NAN; result.len()], vec![f32::NAN; result.len()]);
            let affine = kernels.batch_norm_relu_gradient(norm, &mut to, Some(ValuesMut::F32(&mut behind)));
            let norm = of(Values::Bf16(&short[0]), Values::Bf16(&short[2]), Values::Bf16(&short[3]));
            let (mut short_to, mut short_behind) = (vec![bf16::NAN; to.len()], vec![bf16::NAN; to.len()]);
            let again = kernels.batch_norm_relu_gradient(norm, &mut short_to, Some(ValuesMut::Bf16(&mut short_behind)));
            prop_assert!(affine == again && narrow(&to) == short_to && narrow(&behind) == short_behind);
        }
    }

    #[test]
    fn pooling_agrees_with_f64(n in 1usize..5, pixels in 1usize..50, channels in 1usize..70, seed: u64) {
        let (x, g) = (values(seed, n * pixels * channels), values(seed ^ 1, n * channels));
        let mut means = vec![0f64; g.len()];
        for (i, v) in x.iter().enumerate() {
            means[i / (pixels * channels) * channels + i % channels] += f64::from(*v) / pixels as f64;
        }
        let of_image = |i: usize| f64::from(g[i / (pixels * channels) * channels + i % channels]);
        let spread: Vec<f64> = (0..x.len()).map(|i| of_image(i) / pixels as f64).collect();
        for kernels in all() {
            let mut output = vec![f32::NAN; g.len()];
            kernels.global_average(&x, [pixels, channels], &mut output);
            assert_close(&output, &means, 1e-5, "means");
            let (short, wide) = (narrow(&x), widen(&narrow(&x)));
            let mut from_short = vec![f32::NAN; g.len()];
            kernels.global_average(&short, [pixels, channels], &mut from_short);
            kernels.global_average(&wide, [pixels, channels], &mut output);
            prop_assert_eq!(output, from_short);
            let mut output = vec![f32::NAN; x.len()];
            kernels.global_average_gradient(&g, [pixels, channels], &mut output);
            assert_close(&output, &spread, 1e-6, "gradient");
            let mut short = vec![bf16::NAN; x.len()];
            kernels.global_average_gradient(&g, [pixels, channels], &mut short);
            prop_assert_eq!(narrow(&output), short);
        }
    }
}
