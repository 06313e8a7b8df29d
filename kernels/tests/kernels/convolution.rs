use half::bf16;
use promptfed_kernels::convolution::{
    Convolution, ConvolutionShape, PackedWeight, Padding, UpsampledWeight,
};
use promptfed_kernels::{Activation, Epilogue, MatrixView, Precision, Values};
use proptest::prelude::*;

use crate::support::{
    PRECISIONS, all, assert_close, config, narrow, of_sums, rounded, values, widen, with_threads,
};

/// Visits every (image value, weight value, result value) triple of a convolution.
fn visit(
    shape: ConvolutionShape,
    convolution: &Convolution,
    count: usize,
    mut f: impl FnMut(usize, usize, usize),
) {
    let [height, width, ci] = convolution.input();
    let [height_out, width_out, co] = convolution.output();
    for n in 0..count {
        for oy in 0..height_out {
            for ox in 0..width_out {
                for ky in 0..shape.kernel {
                    for kx in 0..shape.kernel {
                        let y = (oy * shape.stride + ky).checked_sub(shape.padding.before);
                        let x = (ox * shape.stride + kx).checked_sub(shape.padding.before);
                        let (Some(y), Some(x)) = (y, x) else { continue };
                        if y >= height || x >= width {
                            continue;
                        }
                        for i in 0..ci {
                            for o in 0..co {
                                f(
                                    ((n * height + y) * width + x) * ci + i,
                                    ((ky * shape.kernel + kx) * ci + i) * co + o,
                                    ((n * height_out + oy) * width_out + ox) * co + o,
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A shape, `[height, width, channels in]`, channels out, images.
fn cases() -> impl Strategy<Value = (ConvolutionShape, [usize; 3], usize, usize)> {
    let kernels = prop_oneof![Just(1usize), Just(3)];
    let shapes = (kernels, 1usize..=2, 0usize..=1, 0usize..=1).prop_map(
        |(kernel, stride, before, after)| ConvolutionShape {
            kernel,
            stride,
            padding: Padding { before, after },
        },
    );
    // Widths and channels of whole tiles are read where they lie.
    let widths = prop_oneof![3usize..20, Just(16), Just(32)];
    let channels = || prop_oneof![1usize..8, 8usize..40, Just(32), Just(64)];
    let extents = (3usize..20, widths, channels());
    (shapes, extents, channels(), 1usize..4)
        .prop_map(|(shape, (height, width, ci), co, count)| (shape, [height, width, ci], co, count))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn results_agree_with_f64((shape, input, co, count) in cases(), plain: bool, seed: u64) {
        let convolution = Convolution::new(shape, input, co).unwrap();
        let images = values(seed, count * input.iter().product::<usize>());
        let weight = values(seed ^ 1, convolution.weight_len());
        let bias = values(seed ^ 2, co);
        let len = count * convolution.output().iter().product::<usize>();
        let residual = values(seed ^ 3, len);
        let mut expected: Vec<f64> = vec![0.0; len];
        visit(shape, &convolution, count, |i, w, o| expected[o] += f64::from(images[i]) * f64::from(weight[w]));
        for (i, value) in expected.iter_mut().enumerate() {
            *value += f64::from(bias[i % co]);
            if !plain {
                *value = value.max(0.0) + f64::from(residual[i]);
            }
        }
        for kernels in all() {
            for (precision, tolerance) in PRECISIONS {
                let packed = PackedWeight::new(kernels, shape, MatrixView::row_major(&weight, co), precision);
                let mut output = vec![f32::NAN; len];
                let biased = Epilogue { bias: Some(&bias), ..Epilogue::default() };
                let epilogue = if plain { biased } else { Epilogue { activation: Activation::Relu, residual: Some(Values::F32(&residual)), ..biased } };
                convolution.forward(kernels, &images, &packed, epilogue, &mut output);
                let tolerance = of_sums((precision, tolerance), convolution.weight_len() / co, &expected);
                assert_close(&output, &expected, tolerance, &format!("{kernels:?} {precision:?} {shape:?} {input:?} {co} {count}"));
            }
        }
    }

    #[test]
    fn gradients_agree_with_f64((shape, input, co, count) in cases(), add: bool, seed: u64) {
        let convolution = Convolution::new(shape, input, co).unwrap();
        let images = values(seed, count * input.iter().product::<usize>());
        let weight = values(seed ^ 1, convolution.weight_len());
        let gradient = values(seed ^ 2, count * convolution.output().iter().product::<usize>());
        let before = values(seed ^ 3, images.len());
        let mut for_images: Vec<f64> = before.iter().map(|v| if add { f64::from(*v) } else { 0.0 }).collect();
        let mut for_weight = vec![0f64; weight.len()];
        visit(shape, &convolution, count, |i, w, o| {
            let g = f64::from(gradient[o]);
            for_images[i] += g * f64::from(weight[w]);
            for_weight[w] += g * f64::from(images[i]);
        });
        for kernels in all() {
            let what = format!("{kernels:?} {shape:?} {input:?} {co} {count}");
            for (precision, tolerance) in PRECISIONS {
                let mut output = vec![f32::NAN; before.len()];
                let added = add.then_some(Values::F32(&before));
                convolution.input_gradient(kernels, &weight, &gradient, added, &mut output, precision);
                let terms = shape.kernel * shape.kernel * co;
                let of_images = of_sums((precision, tolerance), terms, &for_images);
                assert_close(&output, &for_images, of_images, &format!("images {precision:?} {what}"));
                let mut output = vec![f32::NAN; weight.len()];
                convolution.weight_gradient(kernels, &images, &gradient, &mut output, precision);
                let tolerance = of_sums((precision, tolerance), gradient.len() / co, &for_weight);
                assert_close(&output, &for_weight, tolerance, &format!("weight {precision:?} {what}"));
            }
        }
    }

    #[test]
    fn bf16_gradients_are_the_same_under_every_set((shape, input, co, count) in cases(), seed: u64) {
        let convolution = Convolution::new(shape, input, co).unwrap();
        let images = values(seed, count * input.iter().product::<usize>());
        let weight = values(seed ^ 1, convolution.weight_len());
        let gradient = values(seed ^ 2, count * convolution.output().iter().product::<usize>());
        let (exact_images, exact_weight, exact_gradient) = (rounded(&images), rounded(&weight), rounded(&gradient));
        let mut for_images = vec![0f64; images.len()];
        let mut for_weight = vec![0f64; weight.len()];
        visit(shape, &convolution, count, |i, w, o| {
            let g = f64::from(exact_gradient[o]);
            for_images[i] += g * f64::from(exact_weight[w]);
            for_weight[w] += g * f64::from(exact_images[i]);
        });
        for kernels in all() {
            let what = format!("{kernels:?} {shape:?} {input:?} {co} {count}");
            let precision = Precision::Bf16;
            let mut output = vec![f32::NAN; images.len()];
            convolution.input_gradient(kernels, &weight, &gradient, None, &mut output, precision);
            assert_close(&output, &for_images, 1e-5, &format!("images {what}"));
            let mut output = vec![f32::NAN; weight.len()];
            convolution.weight_gradient(kernels, &images, &gradient, &mut output, precision);
            assert_close(&output, &for_weight, 1e-5, &format!("weight {what}"));
        }
    }

    /// bf16 images and gradients are read as if they were f32, and bf16 results are the f32 ones rounded.
    #[test]
    fn bf16_images_and_results_are_those_of_f32_rounded((shape, input, co, count) in cases(), extra in 0usize..3, seed: u64) {
        let convolution = Convolution::new(shape, input, co).unwrap();
        let images = values(seed, count * input.iter().product::<usize>());
        let weight = values(seed ^ 1, convolution.weight_len());
        let gradient = values(seed ^ 2, count * convolution.output().iter().product::<usize>());
        let added = values(seed ^ 3, images.len());
        let [narrow_images, narrow_gradient, narrow_added] = [&images, &gradient, &added].map(|v| narrow(v));
        let [images, gradient, added] = [&narrow_images, &narrow_gradient, &narrow_added].map(|v| widen(v));
        for kernels in all() {
            for (precision, _) in PRECISIONS {
                let what = format!("{kernels:?} {precision:?} {shape:?} {input:?} {co} {count}");
                let packed = PackedWeight::new(kernels, shape, MatrixView::row_major(&weight, co), precision);
                let forward = |images: Values<'_>, residual| {
                    let epilogue = Epilogue { residual, ..Epilogue::default() };
                    let mut wide = vec![f32::NAN; gradient.len()];
                    convolution.forward(kernels, images, &packed, epilogue, &mut wide);
                    let mut short = vec![bf16::NAN; gradient.len()];
                    convolution.forward(kernels, images, &packed, epilogue, &mut short);
                    (wide, short)
                };
                let residuals = [None, Some(Values::F32(&gradient)), Some(Values::Bf16(&narrow_gradient))];
                let (expected, short) = forward(Values::F32(&images), residuals[extra.min(1)]);
                prop_assert!(short == narrow(&expected), "{what}");
                prop_assert!(forward(Values::Bf16(&narrow_images), residuals[extra]) == (expected, short), "{what}");

                let backward = |gradient: Values<'_>, added| {
                    let mut wide = vec![f32::NAN; images.len()];
                    convolution.input_gradient(kernels, &weight, gradient, added, &mut wide, precision);
                    let mut short = vec![bf16::NAN; images.len()];
                    convolution.input_gradient(kernels, &weight, gradient, added, &mut short, precision);
                    (wide, short)
                };
                let all_added = [None, Some(Values::F32(&added)), Some(Values::Bf16(&narrow_added))];
                let (expected, short) = backward(Values::F32(&gradient), all_added[extra.min(1)]);
                prop_assert!(short == narrow(&expected), "images {what}");
                prop_assert!(backward(Values::Bf16(&narrow_gradient), all_added[extra]) == (expected, short), "images {what}");

                let of_weight = |images: Values<'_>, gradient: Values<'_>| {
                    let mut output = vec![f32::NAN; weight.len()];
                    convolution.weight_gradient(kernels, images, gradient, &mut output, precision);
                    output
                };
                let expected = of_weight(Values::F32(&images), Values::F32(&gradient));
                prop_assert!(of_weight(Values::Bf16(&narrow_images), Values::Bf16(&narrow_gradient)) == expected, "weight {what}");
                prop_assert!(of_weight(Values::Bf16(&narrow_images), Values::F32(&gradient)) == expected, "weight {what}");
                prop_assert!(of_weight(Values::F32(&images), Values::Bf16(&narrow_gradient)) == expected, "weight {what}");
            }
        }
    }

    #[test]
    fn up_sampling_is_folded_in(height in 1usize..20, width in 1usize..20, ci in 1usize..40, co in 1usize..40, count in 1usize..4, seed: u64) {
        let shape = ConvolutionShape::same(3, 1);
        let large = Convolution::new(shape, [2 * height, 2 * width, ci], co).unwrap();
        let images = values(seed, count * height * width * ci);
        let oihw = values(seed ^ 1, 9 * ci * co);
        let repeated: Vec<f32> = (0..4 * images.len()).map(|i| {
            let (n, y, x, c) = (i / ci / (4 * height * width), i / ci / (2 * width) % (2 * height), i / ci % (2 * width), i % ci);
            images[((n * height + y / 2) * width + x / 2) * ci + c]
        }).collect();
        let mut expected = vec![0f64; 4 * count * height * width * co];
        visit(shape, &large, count, |i, w, o| {
            let (tap, channel, out) = (w / co / ci, w / co % ci, w % co);
            expected[o] += f64::from(repeated[i]) * f64::from(oihw[(out * ci + channel) * 9 + tap]);
        });
        for kernels in all() {
            for (precision, tolerance) in PRECISIONS {
                let packed = UpsampledWeight::from_oihw(kernels, &oihw, [co, ci], precision);
                let mut output = vec![f32::NAN; expected.len()];
                packed.forward(kernels, &images, [height, width], Epilogue::default(), &mut output);
                assert_close(&output, &expected, tolerance, &format!("{kernels:?} {precision:?} {height} {width} {ci} {co} {count}"));
                let narrow_images = narrow(&images);
                let run = |images: Values<'_>| {
                    let mut short = vec![bf16::NAN; expected.len()];
                    packed.forward(kernels, images, [height, width], Epilogue::default(), &mut short);
                    short
                };
                prop_assert!(run(Values::Bf16(&narrow_images)) == run(Values::F32(&widen(&narrow_images))));
                // The packed plain convolution of the large image says the same.
                let plain = PackedWeight::from_oihw(kernels, shape, &oihw, [co, ci], precision);
                let mut again = vec![f32::NAN; expected.len()];
                large.forward(kernels, &repeated, &plain, Epilogue::default(), &mut again);
                assert_close(&again, &expected, tolerance, "plain");
            }
        }
    }

    #[test]
    fn an_image_does_not_depend_on_the_others((shape, input, co, _) in cases(), count in 2usize..9, seed: u64) {
        let convolution = Convolution::new(shape, input, co).unwrap();
        let len = input.iter().product::<usize>();
        let images = values(seed, count * len);
        let weight = values(seed ^ 1, convolution.weight_len());
        for kernels in all() {
            for (precision, _) in PRECISIONS {
                let packed = PackedWeight::new(kernels, shape, MatrixView::row_major(&weight, co), precision);
                let run = |images: &[f32]| {
                    let mut output = vec![0.0; images.len() / len * convolution.output().iter().product::<usize>()];
                    convolution.forward(kernels, images, &packed, Epilogue::default(), &mut output);
                    output
                };
                let together = run(&images);
                let alone = run(&images[(count - 1) * len..]);
                prop_assert_eq!(&alone[..], &together[together.len() - alone.len()..]);
            }
        }
    }
}

/// Lines of whole pairs and images of whole tiles, whose pixels are paired once for all lines of the kernel: several images of a
/// batch's share, windows of no whole tiles, bands of lines; neighbours of such shapes; and sums in shares.
#[test]
fn weight_gradients_of_whole_tiles_agree_with_f64() {
    for (input, co, count) in [
        ([32, 32, 16], 24, 2),
        ([16, 16, 48], 20, 3),
        ([16, 16, 16], 5, 19),
        ([12, 24, 32], 40, 2),
        ([17, 32, 16], 9, 2),
        ([16, 17, 16], 9, 2),
        ([16, 16, 16], 9, 1),
        ([5, 6, 200], 170, 2),
    ] {
        let shape = ConvolutionShape::same(3, 1);
        let convolution = Convolution::new(shape, input, co).unwrap();
        let images = values(1, count * input.iter().product::<usize>());
        let gradient = values(2, count * convolution.output().iter().product::<usize>());
        let (exact_images, exact_gradient) = (rounded(&images), rounded(&gradient));
        let mut expected = vec![0f64; convolution.weight_len()];
        visit(shape, &convolution, count, |i, w, o| {
            expected[w] += f64::from(exact_gradient[o]) * f64::from(exact_images[i]);
        });
        for kernels in all() {
            let mut output = vec![f32::NAN; expected.len()];
            let precision = Precision::Bf16;
            convolution.weight_gradient(kernels, &images, &gradient, &mut output, precision);
            assert_close(&output, &expected, 1e-5, &format!("{kernels:?} {input:?}"));
        }
    }
}

/// Stride 2 with odd sizes; stride 1 and 2 with rows that are read where they lie; a weight that tasks share by columns.
#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let cases = [
        (3, 2, [17, 19, 24], 30, 33),
        (3, 1, [20, 32, 32], 64, 9),
        (1, 2, [20, 64, 32], 64, 9),
        (3, 1, [8, 8, 256], 320, 2),
    ];
    for (kernel, stride, input, co, count) in cases {
        let shape = ConvolutionShape::same(kernel, stride);
        let convolution = Convolution::new(shape, input, co).unwrap();
        let images = values(1, count * input.iter().product::<usize>());
        let weight = values(2, convolution.weight_len());
        let gradient = values(3, count * convolution.output().iter().product::<usize>());
        let bias = values(4, co);
        let epilogue = Epilogue {
            bias: Some(&bias),
            ..Epilogue::default()
        };
        for kernels in all() {
            let run = |threads: usize, precision: Precision| {
                with_threads(threads, || {
                    let view = MatrixView::row_major(&weight, co);
                    let packed = PackedWeight::new(kernels, shape, view, precision);
                    let mut output = vec![0.0; gradient.len()];
                    convolution.forward(kernels, &images, &packed, epilogue, &mut output);
                    let mut for_images = vec![0.5; images.len()];
                    let added = Some(Values::F32(&images));
                    convolution.input_gradient(
                        kernels,
                        &weight,
                        &gradient,
                        added,
                        &mut for_images,
                        precision,
                    );
                    let mut for_weight = vec![0.0; weight.len()];
                    convolution.weight_gradient(
                        kernels,
                        &images,
                        &gradient,
                        &mut for_weight,
                        precision,
                    );
                    (output, for_images, for_weight)
                })
            };
            for (precision, _) in PRECISIONS {
                assert!(
                    run(1, precision) == run(3, precision),
                    "{kernels:?} {precision:?} {input:?}"
                );
            }
        }
    }
}

/// Weights larger than a second-level cache: tasks share their columns.
#[test]
fn large_weights_agree_with_f64_whatever_the_threads() {
    let (size, ci, co) = ([5, 8], 256, 320);
    let input = [size[0], size[1], ci];
    let shape = ConvolutionShape::same(3, 1);
    let convolution = Convolution::new(shape, input, co).unwrap();
    let images = values(1, 2 * input.iter().product::<usize>());
    let weight = values(2, convolution.weight_len());
    let bias = values(3, co);
    let epilogue = Epilogue {
        bias: Some(&bias),
        ..Epilogue::default()
    };
    let len = 2 * convolution.output().iter().product::<usize>();
    let mut expected: Vec<f64> = (0..len).map(|i| f64::from(bias[i % co])).collect();
    visit(shape, &convolution, 2, |i, w, o| {
        expected[o] += f64::from(images[i]) * f64::from(weight[w]);
    });
    for kernels in all() {
        for (precision, tolerance) in PRECISIONS {
            let packed = PackedWeight::new(
                kernels,
                shape,
                MatrixView::row_major(&weight, co),
                precision,
            );
            let mut output = vec![f32::NAN; len];
            convolution.forward(kernels, &images, &packed, epilogue, &mut output);
            let what = format!("{kernels:?} {precision:?}");
            assert_close(&output, &expected, tolerance, &what);
            let upsampling = UpsampledWeight::from_oihw(kernels, &weight, [co, ci], precision);
            let run = |threads| {
                let mut output = vec![f32::NAN; 4 * len];
                with_threads(threads, || {
                    upsampling.forward(kernels, &images, size, epilogue, &mut output);
                });
                output
            };
            assert!(run(1) == run(3), "{what}: threads matter");
        }
    }
}

#[test]
fn impossible_shapes_are_errors() {
    let shape = ConvolutionShape {
        kernel: 3,
        stride: 1,
        padding: Padding::around(0),
    };
    assert!(Convolution::new(shape, [2, 5, 3], 4).is_err());
    assert!(Convolution::new(shape, [5, 5, 0], 4).is_err());
    assert!(Convolution::new(ConvolutionShape::same(3, 0), [5, 5, 3], 4).is_err());
    assert!(Convolution::new(shape, [3, 3, 1], 1).is_ok());
}
