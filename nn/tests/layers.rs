//! The layers of training by both ways to compute, against each other and candle's own differentiation of their definitions.
#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor, Var};
use promptfed_nn::batch_norm::{self, Affine, BatchNorm};
use promptfed_nn::convolution::{Convolution, ConvolutionShape, ForImages};
use promptfed_nn::cross_entropy;
use promptfed_nn::linear::{Bias, Linear};
use promptfed_nn::load::Loader;
use promptfed_nn::noise::{standard_normal, uniform};
use promptfed_nn::pool::GlobalAverage;
use promptfed_nn::{Path, Precision};
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

fn normal(seed: u64, shape: &[usize]) -> Tensor {
    let values = standard_normal(seed, shape.iter().product());
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// The sum of all products of two tensors' values.
fn dot(a: &Tensor, b: &Tensor) -> f64 {
    let pairs = values(a).into_iter().zip(values(b));
    pairs.map(|(a, b)| f64::from(a) * f64::from(b)).sum()
}

/// The kernels, and candle's operations as on CUDA.
fn paths() -> [Path; 2] {
    [Path::of(&Device::Cpu).unwrap(), Path::Operations]
}

proptest! {
    /// `relu(norm(x) + residual)` and all its gradients, by candle's own differentiation of the definition.
    #[test]
    fn batch_normalisation_agrees_with_its_definition(
        n in 1usize..4, side in 2usize..8, channels in 1usize..20, with_residual: bool, seed: u64
    ) {
        let shape = [n, side, side, channels];
        let x = Var::from_tensor(&normal(seed, &shape)).unwrap();
        let residual = Var::from_tensor(&normal(seed ^ 4, &shape)).unwrap();
        let [gamma, beta] = [2, 3].map(|i| Var::from_tensor(&normal(seed ^ i, &[channels])).unwrap());
        let gradient = normal(seed ^ 1, &shape);
        let mean = x.mean_keepdim((0, 1, 2)).unwrap();
        let centred = x.broadcast_sub(&mean).unwrap();
        let variance = centred.sqr().unwrap().mean_keepdim((0, 1, 2)).unwrap();
        // Nearly equal pixels divide by nearly nothing: both sides are noise there.
        prop_assume!(values(&variance).iter().all(|v| *v > 0.05));
        let deviation = (&variance + f64::from(batch_norm::EPSILON)).unwrap().sqrt().unwrap();
        let mut sums = centred.broadcast_div(&deviation).unwrap().broadcast_mul(&gamma).unwrap().broadcast_add(&beta).unwrap();
        if with_residual {
            sums = (sums + residual.as_tensor()).unwrap();
        }
        // Neither way decides alike on which side of a ReLU a rounding error lies.
        prop_assume!(values(&sums).iter().all(|v| v.abs() > 1e-4));
        let defined = sums.relu().unwrap();
        let expected = defined.mul(&gradient).unwrap().sum_all().unwrap().backward().unwrap();

        let plain = x.as_detached_tensor();
        let added = with_residual.then(|| residual.as_detached_tensor());
        for path in paths() {
            let norm = BatchNorm::new(path);
            let statistics = norm.statistics(&plain).unwrap();
            prop_assert!(largest_difference(&values(&statistics.mean), &values(&mean)) < 1e-5);
            prop_assert!(largest_difference(&values(&statistics.variance), &values(&variance)) < 1e-4);
            let affine = Affine { gamma: gamma.as_tensor(), beta: beta.as_tensor() };
            let output = norm.forward(&plain, &statistics, affine, added.as_ref()).unwrap();
            prop_assert!(largest_difference(&values(&output), &values(&defined)) < 1e-4, "{path:?}");
            let found = norm.gradients(&plain, &output, &gradient, &statistics, affine, with_residual).unwrap();
            let close = |found: &Tensor, of: &Var| {
                largest_difference(&values(found), &values(expected.get(of).unwrap())) < 1e-3
            };
            prop_assert!(close(&found.values, &x) && close(&found.gamma, &gamma) && close(&found.beta, &beta), "{path:?}");
            prop_assert!(found.residual.is_some() == with_residual);
            if let Some(found) = found.residual {
                prop_assert!(close(&found, &residual), "{path:?}");
            }
        }
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
    fn pooling_and_its_gradient_are_transposed(n in 1usize..4, side in 1usize..5, channels in 1usize..9, seed: u64) {
        let (x, g) = (normal(seed, &[n, side, side, channels]), normal(seed ^ 1, &[n, channels]));
        let mut means = Vec::new();
        for path in paths() {
            let pool = GlobalAverage::new(path, Precision::F32);
            let y = pool.forward(&x).unwrap();
            let dx = pool.gradient(&g, [side, side]).unwrap();
            prop_assert_eq!(dx.dims(), x.dims());
            prop_assert!((dot(&y, &g) - dot(&x, &dx)).abs() < 1e-4, "{path:?}");
            means.push(values(&y));
        }
        prop_assert!(largest_difference(&means[0], &means[1]) < 1e-5);
    }

    /// `<conv(x), g> = <x, gradient of x> = <w, gradient of w>`: finite differences without their error. By kernels and by
    /// candle's operations.
    #[test]
    fn convolution_and_its_gradients_are_transposed(
        n in 1usize..20, size in 3usize..14, ci in 1usize..8, co in 1usize..60, stride in 1usize..4, kernel in 0usize..2, seed: u64,
    ) {
        let shape = ConvolutionShape::same(2 * kernel + 1, stride);
        let mut results = Vec::new();
        for path in paths() {
            let convolution = Convolution::new(path, shape, [size, size, ci], co, Precision::F32).unwrap();
            let x = normal(seed, &[n, size, size, ci]);
            let w = normal(seed ^ 1, &[convolution.weight_len() / co, co]);
            let y = convolution.forward(&x, &w).unwrap();
            let g = normal(seed ^ 2, y.dims());
            let found = convolution.gradients(&x, &w, &g, ForImages::Wanted).unwrap();
            let (dx, dw) = (found.images.unwrap(), found.weight);
            let size_of_sum = (y.elem_count() as f64).sqrt() * (9.0 * ci as f64).sqrt();
            let tolerance = 1e-5 * size_of_sum.max(10.0);
            prop_assert!((dot(&y, &g) - dot(&x, &dx)).abs() < tolerance, "{path:?}");
            prop_assert!((dot(&y, &g) - dot(&w, &dw)).abs() < tolerance, "{path:?}");
            let added = convolution.gradients(&x, &w, &g, ForImages::Added(&x)).unwrap();
            let sum = (&dx + &x).unwrap();
            prop_assert!(largest_difference(&values(&added.images.unwrap()), &values(&sum)) < 1e-3, "{path:?}");
            prop_assert!(convolution.gradients(&x, &w, &g, ForImages::Unwanted).unwrap().images.is_none());
            results.push([y, dx, dw].map(|tensor| values(&tensor)));
        }
        for (kernels, operations) in results[0].iter().zip(&results[1]) {
            prop_assert!(largest_difference(kernels, operations) < 1e-2);
        }
    }
}

/// In bf16 maps are bf16 and sums f32. candle has no bf16 products on the CPU: convolutions are compared with those in f32.
#[test]
fn layers_of_training_agree_in_bf16() {
    let x = normal(1, &[3, 8, 8, 12]);
    let w = (normal(2, &[108, 16]) * 0.1).unwrap();
    let wide = |tensor: &Tensor| values(&tensor.to_dtype(DType::F32).unwrap());
    let [kernels, operations] = paths();
    let close = |found: &[Tensor], expected: &[Tensor]| {
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            let (found, expected) = (wide(found), wide(expected));
            let scale = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
            assert!(largest_difference(&found, &expected) < 1e-2 * scale, "{i}");
        }
    };
    let convolved = |path, kernel, stride, precision: Precision, maps| {
        let shape = ConvolutionShape::same(kernel, stride);
        let convolution = Convolution::new(path, shape, [8, 8, 12], 16, precision).unwrap();
        let w = w.narrow(0, 0, kernel * kernel * 12).unwrap();
        let y = convolution.forward(&x, &w).unwrap();
        let added = x.to_dtype(maps).unwrap();
        let found = convolution.gradients(&x, &w, &y, ForImages::Added(&added));
        let found = found.unwrap();
        let dx = found.images.unwrap();
        assert_eq!((y.dtype(), dx.dtype()), (maps, maps));
        assert_eq!(found.weight.dtype(), DType::F32);
        [y, dx, found.weight]
    };
    for (kernel, stride) in [(3, 1), (3, 2), (1, 1), (1, 2)] {
        let found = convolved(kernels, kernel, stride, Precision::Bf16, DType::BF16);
        let exact = convolved(operations, kernel, stride, Precision::F32, DType::F32);
        close(&found, &exact);
    }
    let [y, ..] = convolved(kernels, 3, 1, Precision::Bf16, DType::BF16);

    let (gamma, beta) = (normal(3, &[16]), normal(4, &[16]));
    let affine = Affine {
        gamma: &gamma,
        beta: &beta,
    };
    let normed = |path| {
        let norm = BatchNorm::new(path);
        let statistics = norm.statistics(&y).unwrap();
        let output = norm.forward(&y, &statistics, affine, Some(&y)).unwrap();
        let back = norm.gradients(&y, &output, &y, &statistics, affine, true);
        let back = back.unwrap();
        let pool = GlobalAverage::new(path, Precision::Bf16);
        let pooled = pool.forward(&output).unwrap();
        let spread = pool.gradient(&pooled, [8, 8]).unwrap();
        assert_eq!((pooled.dtype(), spread.dtype()), (DType::F32, DType::BF16));
        let residual = back.residual.unwrap();
        assert_eq!(
            (back.values.dtype(), residual.dtype()),
            (DType::BF16, DType::BF16)
        );
        [
            output,
            back.values,
            residual,
            back.gamma,
            back.beta,
            pooled,
            spread,
        ]
    };
    close(&normed(kernels), &normed(operations));
}

#[test]
fn wrong_shapes_of_training_layers_are_errors() {
    for path in paths() {
        let shape = ConvolutionShape::same(3, 1);
        let convolution = Convolution::new(path, shape, [4, 4, 2], 3, Precision::F32).unwrap();
        let (x, w, g) = (
            normal(1, &[2, 4, 4, 2]),
            normal(2, &[18, 3]),
            normal(3, &[2, 4, 4, 3]),
        );
        assert!(convolution.forward(&g, &w).is_err());
        assert!(convolution.forward(&x, &normal(2, &[17, 3])).is_err());
        let other = normal(3, &[1, 4, 4, 3]);
        assert!(
            convolution
                .gradients(&x, &w, &other, ForImages::Wanted)
                .is_err()
        );
        assert!(
            convolution
                .gradients(&x, &w, &g, ForImages::Added(&g))
                .is_err()
        );
        let norm = BatchNorm::new(path);
        let statistics = norm.statistics(&x).unwrap();
        let (gamma, beta) = (normal(4, &[2]), normal(5, &[3]));
        let affine = Affine {
            gamma: &gamma,
            beta: &gamma,
        };
        assert!(norm.forward(&x, &statistics, affine, Some(&g)).is_err());
        for (gamma, beta) in [(&beta, &gamma), (&gamma, &beta)] {
            let wrong = Affine { gamma, beta };
            assert!(norm.forward(&x, &statistics, wrong, None).is_err());
        }
        let pool = GlobalAverage::new(path, Precision::F32);
        assert!(pool.forward(&normal(1, &[2, 0, 3, 4])).is_err());
        assert!(pool.gradient(&normal(1, &[2, 3]), [0, 4]).is_err());
        assert!(
            norm.gradients(&x, &x, &g, &statistics, affine, false)
                .is_err()
        );
        assert!(norm.statistics(&normal(1, &[0, 4, 4, 2])).is_err());
    }
}

#[test]
fn statistics_do_not_suffer_from_a_large_mean() {
    let x = (normal(1, &[1, 100, 1000, 1]) + 1000.0).unwrap();
    let norm = BatchNorm::new(Path::of(&Device::Cpu).unwrap());
    let statistics = norm.statistics(&x).unwrap();
    let (mean, variance) = (values(&statistics.mean)[0], values(&statistics.variance)[0]);
    assert!(
        (mean - 1000.0).abs() < 0.02 && (variance - 1.0).abs() < 0.02,
        "{mean} {variance}"
    );
}

#[test]
fn a_gated_linear_map_agrees_with_its_composite() {
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
