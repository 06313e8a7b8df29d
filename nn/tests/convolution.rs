//! The CPU convolution against candle's own, values and gradients.
#![allow(clippy::unwrap_used)]

use candle_core::{Device, Tensor, Var};
use promptfed_nn::convolution::{ConvolutionShape, Padding, composite, convolution};
use promptfed_nn::noise::standard_normal;
use proptest::prelude::*;

fn normal(seed: u64, shape: &[usize]) -> Tensor {
    let n = shape.iter().product();
    Tensor::from_vec(standard_normal(seed, n), shape, &Device::Cpu).unwrap()
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    let difference = a.sub(b).unwrap().abs().unwrap();
    difference
        .flatten_all()
        .unwrap()
        .max(0)
        .unwrap()
        .to_scalar()
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn agrees_with_the_composite(
        batch in 1usize..6,
        height in 1usize..12,
        width in 1usize..12,
        channels_in in 1usize..10,
        channels_out in 1usize..50,
        kernel in 1usize..5,
        stride in 1usize..4,
        padding in 0usize..3,
    ) {
        let shape = ConvolutionShape { kernel, stride, padding: Padding::around(padding) };
        let sizes = (shape.output_size(height), shape.output_size(width));
        prop_assume!(sizes.0.is_some() && sizes.1.is_some());
        let images = Var::from_tensor(&normal(1, &[batch, height, width, channels_in])).unwrap();
        let weight = Var::from_tensor(&normal(2, &[kernel * kernel * channels_in, channels_out])).unwrap();
        let fast = convolution(&images, &weight, shape).unwrap();
        let slow = composite(&images, &weight, shape).unwrap();
        prop_assert!(largest_difference(&fast, &slow) < 1e-4);

        let probe = normal(3, slow.dims());
        let of_fast = fast.mul(&probe).unwrap().sum_all().unwrap().backward().unwrap();
        let expected = reference_gradients(&images, &weight, shape, &probe);
        prop_assert!(largest_difference(of_fast.get(&images).unwrap(), &expected.0) < 2e-3);
        prop_assert!(largest_difference(of_fast.get(&weight).unwrap(), &expected.1) < 5e-3);
    }
}

/// The definition, term by term, in f64.
fn reference_gradients(
    images: &Tensor,
    weight: &Tensor,
    shape: ConvolutionShape,
    probe: &Tensor,
) -> (Tensor, Tensor) {
    let [n, h, w, ci] = images.dims()[..] else {
        panic!()
    };
    let [_, ho, wo, co] = probe.dims()[..] else {
        panic!()
    };
    let x: Vec<f32> = images.flatten_all().unwrap().to_vec1().unwrap();
    let m: Vec<f32> = weight.flatten_all().unwrap().to_vec1().unwrap();
    let g: Vec<f32> = probe.flatten_all().unwrap().to_vec1().unwrap();
    let mut dx = vec![0f64; x.len()];
    let mut dm = vec![0f64; m.len()];
    let (k, padding) = (shape.kernel, shape.padding.before);
    for b in 0..n {
        for (oy, ox) in (0..ho).flat_map(|y| (0..wo).map(move |x| (y, x))) {
            for (ky, kx) in (0..k).flat_map(|y| (0..k).map(move |x| (y, x))) {
                let (iy, ix) = (oy * shape.stride + ky, ox * shape.stride + kx);
                if iy < padding || ix < padding {
                    continue;
                }
                let (iy, ix) = (iy - padding, ix - padding);
                if iy >= h || ix >= w {
                    continue;
                }
                for i in 0..ci {
                    for o in 0..co {
                        let xi = ((b * h + iy) * w + ix) * ci + i;
                        let mi = ((ky * k + kx) * ci + i) * co + o;
                        let gradient = f64::from(g[((b * ho + oy) * wo + ox) * co + o]);
                        dx[xi] += gradient * f64::from(m[mi]);
                        dm[mi] += gradient * f64::from(x[xi]);
                    }
                }
            }
        }
    }
    let tensor = |values: Vec<f64>, like: &Tensor| {
        let values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
        Tensor::from_vec(values, like.shape(), &Device::Cpu).unwrap()
    };
    (tensor(dx, images), tensor(dm, weight))
}

#[test]
fn one_result_for_any_number_of_threads() {
    let shape = ConvolutionShape::same(3, 2);
    let images = Var::from_tensor(&normal(1, &[33, 9, 9, 5])).unwrap();
    let weight = Var::from_tensor(&normal(2, &[45, 19])).unwrap();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let output = convolution(&images, &weight, shape).unwrap();
            let gradients = output.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let read = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            [
                read(&output),
                read(gradients.get(&images).unwrap()),
                read(gradients.get(&weight).unwrap()),
            ]
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn misfits_are_errors() {
    let shape = ConvolutionShape::same(3, 1);
    let images = normal(1, &[1, 4, 4, 3]);
    assert!(convolution(&images, &normal(2, &[26, 8]), shape).is_err());
    assert!(convolution(&images, &normal(2, &[27]), shape).is_err());
    let large = ConvolutionShape {
        kernel: 9,
        stride: 1,
        padding: Padding::around(0),
    };
    assert!(convolution(&images, &normal(2, &[243, 8]), large).is_err());
}
