//! Batch normalisation, cross-entropy, pooling against candle's own operations and their gradients.
#![allow(clippy::unwrap_used)]

use candle_core::{Device, Tensor, Var};
use promptfed_nn::Precision;
use promptfed_nn::batch_norm::{self, BatchNorm};
use promptfed_nn::convolution::{Convolution, ConvolutionShape, Write};
use promptfed_nn::cross_entropy;
use promptfed_nn::linear::{Bias, Linear};
use promptfed_nn::load::Loader;
use promptfed_nn::noise::{standard_normal, uniform};
use promptfed_nn::pool::GlobalAverage;
use proptest::prelude::*;

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

proptest! {
    #[test]
    fn batch_normalisation_agrees_with_the_composite(pixels in 2usize..200, channels in 1usize..20, seed: u64) {
        let mut x = standard_normal(seed, pixels * channels);
        let gradient = standard_normal(seed ^ 1, x.len());
        let (gamma, beta) = (standard_normal(seed ^ 2, channels), standard_normal(seed ^ 3, channels));
        let var = |v: &[f32], shape: &[usize]| Var::from_vec(v.to_vec(), shape, &Device::Cpu).unwrap();
        let (tx, tg, tb) = (var(&x, &[pixels, channels]), var(&gamma, &[channels]), var(&beta, &[channels]));
        let (normalised, mean, variance) = batch_norm::composite(&tx, &tg, &tb).unwrap();
        let probe = Tensor::from_vec(gradient.clone(), (pixels, channels), &Device::Cpu).unwrap();
        let expected = normalised.mul(&probe).unwrap().sum_all().unwrap().backward().unwrap();

        let norm = BatchNorm::new().unwrap();
        let statistics = norm.statistics(&x, channels);
        prop_assert!(largest_difference(&statistics.mean, &values(&mean)) < 1e-5);
        prop_assert!(largest_difference(&statistics.variance, &values(&variance)) < 1e-4);
        // Two nearly equal pixels divide by nearly nothing: both sides are noise there.
        prop_assume!(statistics.variance.iter().all(|v| *v > 0.05));
        let mut output = vec![0.0; x.len()];
        let factors = batch_norm::factors(&statistics.mean, &statistics.variance, &gamma, &beta);
        norm.apply(&x, &factors, None, false, &mut output);
        prop_assert!(largest_difference(&output, &values(&normalised)) < 1e-4);
        // A ReLU whose result is positive everywhere does nothing.
        let positive = vec![1.0; x.len()];
        let mut through = gradient.clone();
        let affine = norm.relu_gradient(&mut x, &positive, &mut through, &statistics, &gamma);
        prop_assert_eq!(through, gradient);
        prop_assert!(largest_difference(&x, &values(expected.get(&tx).unwrap())) < 1e-3);
        prop_assert!(largest_difference(&affine.gamma, &values(expected.get(&tg).unwrap())) < 1e-3);
        prop_assert!(largest_difference(&affine.beta, &values(expected.get(&tb).unwrap())) < 1e-3);
    }

    #[test]
    fn cross_entropy_agrees_with_the_composite(n in 1usize..20, classes in 1usize..30, smoothing in 0f32..0.9, weighted: bool, seed: u64) {
        let logits = standard_normal(seed, n * classes);
        let labels: Vec<u32> = (0..n as u32).map(|i| i * 7 % classes as u32).collect();
        let weights = weighted.then(|| uniform(seed ^ 1, n, 0.1, 2.0));
        let found = cross_entropy::cross_entropy(&logits, &labels, weights.as_deref(), smoothing);
        let tensor = Var::from_vec(logits, (n, classes), &Device::Cpu).unwrap();
        let of_labels = Tensor::from_vec(labels, n, &Device::Cpu).unwrap();
        let of_weights = weights.map(|w| Tensor::from_vec(w, n, &Device::Cpu).unwrap());
        let loss = cross_entropy::composite(&tensor, &of_labels, of_weights.as_ref(), smoothing).unwrap();
        let gradient = loss.backward().unwrap();
        prop_assert!((loss.to_scalar::<f32>().unwrap() - found.loss).abs() < 1e-4);
        prop_assert!(largest_difference(&found.gradient, &values(gradient.get(&tensor).unwrap())) < 1e-5);
    }

    #[test]
    fn pooling_and_its_gradient_are_transposed(n in 1usize..4, pixels in 1usize..10, channels in 1usize..9, seed: u64) {
        let (x, g) = (standard_normal(seed, n * pixels * channels), standard_normal(seed ^ 1, n * channels));
        let (mut y, mut dx) = (vec![0.0; g.len()], vec![0.0; x.len()]);
        let pool = GlobalAverage::new(pixels, channels).unwrap();
        pool.forward(&x, &mut y);
        pool.gradient(&g, &mut dx);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        prop_assert!((dot(&y, &g) - dot(&x, &dx)).abs() < 1e-4);
    }

    /// `<conv(x), g> = <x, input_gradient(g)> = <w, weight_gradient(x, g)>`: finite differences without their error.
    #[test]
    fn convolution_and_its_gradients_are_transposed(
        n in 1usize..20, size in 3usize..14, ci in 1usize..8, co in 1usize..60, stride in 1usize..4, seed: u64,
    ) {
        let convolution = Convolution::new(ConvolutionShape::same(3, stride), [size, size, ci], co, Precision::F32).unwrap();
        let x = standard_normal(seed, n * size * size * ci);
        let w = standard_normal(seed ^ 1, convolution.weight_len());
        let g = standard_normal(seed ^ 2, n * convolution.output().iter().product::<usize>());
        let mut y = vec![f32::NAN; g.len()];
        convolution.forward(&x, &w, &mut y);
        let mut dw = vec![f32::NAN; w.len()];
        convolution.weight_gradient(&x, &g, &mut dw);
        let mut dx = vec![f32::NAN; x.len()];
        convolution.input_gradient(&w, &g, &mut dx, Write::Replace);
        let mut twice = dx.clone();
        convolution.input_gradient(&w, &g, &mut twice, Write::Add);
        let doubled: Vec<f32> = dx.iter().map(|v| 2.0 * v).collect();
        prop_assert!(largest_difference(&twice, &doubled) < 1e-3);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let size_of_sum = (y.len() as f64).sqrt() * (9.0 * ci as f64).sqrt();
        prop_assert!((dot(&y, &g) - dot(&x, &dx)).abs() < 1e-5 * size_of_sum.max(10.0));
        prop_assert!((dot(&y, &g) - dot(&w, &dw)).abs() < 1e-5 * size_of_sum.max(10.0));
    }
}

#[test]
fn statistics_do_not_suffer_from_a_large_mean() {
    let x: Vec<f32> = standard_normal(1u64, 100_000)
        .iter()
        .map(|v| v + 1000.0)
        .collect();
    let statistics = BatchNorm::new().unwrap().statistics(&x, 1);
    assert!((statistics.mean[0] - 1000.0).abs() < 0.02);
    assert!(
        (statistics.variance[0] - 1.0).abs() < 0.02,
        "{}",
        statistics.variance[0]
    );
}

#[test]
fn a_gated_linear_map_agrees_with_its_composite() {
    let normal = |seed, shape: &[usize]| {
        let values = standard_normal(seed, shape.iter().product());
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    };
    let tensors = [
        ("map.weight", normal(1, &[40, 24])),
        ("map.bias", normal(2, &[40])),
    ];
    let file = safetensors::serialize(tensors, None).unwrap();
    let mut loader = Loader::from_bytes(&file, "test", &Device::Cpu).unwrap();
    let map = Linear::load(&mut loader, "map", 24, 40, Bias::Present).unwrap();
    let (x, gate) = (normal(3, &[3, 5, 24]), normal(4, &[3, 40]));
    let residual = normal(5, &[3, 5, 40]);
    let found = map.forward_gated(&x, &gate, &residual).unwrap();
    let product = map.forward(&x).unwrap();
    let gated = product.broadcast_mul(&gate.unsqueeze(1).unwrap()).unwrap();
    let expected = (gated + &residual).unwrap();
    assert_eq!(found.dims(), expected.dims());
    assert!(largest_difference(&values(&found), &values(&expected)) < 1e-5);
    assert!(
        map.forward_gated(&x, &normal(4, &[2, 40]), &residual)
            .is_err()
    );
    assert!(map.forward_gated(&x, &gate, &x).is_err());
}
