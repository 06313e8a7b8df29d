use promptfed_kernels::batch_norm::ScaleShift;
use proptest::prelude::*;

use crate::support::{all, assert_close, config, values};

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
            kernels.scale_shift(&x, &factors, Some(&residual), relu, &mut output);
            assert_close(&output, &result, tolerance, &what);
            let (mut input, mut through) = (x.clone(), g.clone());
            let affine = kernels.batch_norm_relu_gradient(&mut input, &residual, &mut through, &statistics, &gamma, EPS);
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
            let mut output = vec![f32::NAN; x.len()];
            kernels.global_average_gradient(&g, [pixels, channels], &mut output);
            assert_close(&output, &spread, 1e-6, "gradient");
        }
    }
}
