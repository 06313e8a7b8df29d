use promptfed_kernels::convolution::{ConvolutionShape, Padding};
use promptfed_kernels::depthwise::Depthwise;
use proptest::prelude::*;

use crate::support::{ACTIVATIONS, all, assert_close, config, values};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn depthwise_agrees_with_f64(
        n in 1usize..3, height in 1usize..12, width in 1usize..12, channels in 1usize..70,
        kernel in 1usize..6, stride in 1usize..3, before in 0usize..4, after in 0usize..4, which in 0usize..7, seed: u64
    ) {
        let shape = ConvolutionShape { kernel, stride, padding: Padding { before, after } };
        let (Some(height_out), Some(width_out)) = (shape.output_size(height), shape.output_size(width)) else {
            return Ok(());
        };
        let x: Vec<f32> = values(seed, n * height * width * channels).iter().map(|v| v * 3.0).collect();
        let weight = values(seed ^ 1, kernel * kernel * channels);
        let bias = values(seed ^ 2, channels);
        let (activation, formula) = ACTIVATIONS[which];
        let mut expected = Vec::new();
        for image in 0..n {
            for row in 0..height_out {
                for column in 0..width_out {
                    for channel in 0..channels {
                        let mut sum = f64::from(bias[channel]);
                        for tap in 0..kernel * kernel {
                            let y = row * stride + tap / kernel;
                            let x_at = column * stride + tap % kernel;
                            let inside = (before..before + height).contains(&y) && (before..before + width).contains(&x_at);
                            if inside {
                                let place = (image * height + y - before) * width + x_at - before;
                                let product = f64::from(x[place * channels + channel]) * f64::from(weight[tap * channels + channel]);
                                sum += product;
                            }
                        }
                        expected.push(formula(sum));
                    }
                }
            }
        }
        for kernels in all() {
            let mut output = vec![f32::NAN; expected.len()];
            let depthwise = Depthwise { shape, weight: &weight, bias: &bias, activation };
            kernels.depthwise(&x, [height, width], depthwise, &mut output);
            assert_close(&output, &expected, 1e-5, &format!("{kernels:?} {shape:?} {height} {width} {channels}"));
        }
    }
}
