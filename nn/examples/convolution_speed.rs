//! Times the convolutions of a small residual network, forward and both gradients.
use std::time::Instant;

use candle_core::{Device, Tensor, Var};
use promptfed_nn::convolution::{ConvolutionShape, convolution};
use promptfed_nn::noise::standard_normal;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let width: usize = std::env::args().nth(1).map_or(Ok(24), |s| s.parse())?;
    let n = 64;
    let layers = [
        ("stem", 32, 3, width, 3, 1),
        ("1a", 32, width, width, 3, 2),
        ("1b", 16, width, width, 3, 1),
        ("1s", 32, width, width, 1, 2),
        ("2a", 16, width, 2 * width, 3, 2),
        ("2b", 8, 2 * width, 2 * width, 3, 1),
        ("3a", 8, 2 * width, 4 * width, 3, 2),
        ("3b", 4, 4 * width, 4 * width, 3, 1),
    ];
    for (name, size, ci, co, k, stride) in layers {
        let shape = ConvolutionShape::same(k, stride);
        let x = Tensor::from_vec(
            standard_normal(1u64, n * size * size * ci),
            (n, size, size, ci),
            &Device::Cpu,
        )?;
        let w = Var::from_vec(
            standard_normal(2u64, k * k * ci * co),
            (k * k * ci, co),
            &Device::Cpu,
        )?;
        let xv = Var::from_tensor(&x)?;
        let (mut f, mut bw, mut bx) = (f64::MAX, f64::MAX, f64::MAX);
        let mut flop = 0.0;
        for _ in 0..12 {
            let t = Instant::now();
            let y = convolution(&x, &w, shape)?;
            f = f.min(t.elapsed().as_secs_f64());
            flop = 2.0 * (y.elem_count() * k * k * ci) as f64;
            let t = Instant::now();
            y.backward()?;
            let weight_only = t.elapsed().as_secs_f64();
            bw = bw.min(weight_only);
            let y = convolution(&xv, &w, shape)?;
            let t = Instant::now();
            y.backward()?;
            bx = bx.min(t.elapsed().as_secs_f64());
        }
        let rate = |s: f64| flop / s / 1e9;
        println!(
            "{name:5} {:7.1} MFLOP  forward {:6.2} ms {:6.1} GFLOP/s   weight {:6.2} ms {:6.1}   input {:6.2} ms {:6.1}",
            flop / 1e6,
            f * 1e3,
            rate(f),
            bw * 1e3,
            rate(bw),
            (bx - bw) * 1e3,
            rate(bx - bw)
        );
    }
    Ok(())
}
