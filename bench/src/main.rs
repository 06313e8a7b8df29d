use promptfed_kernels::convolution::{
    Convolution, ConvolutionShape, PackedWeight, UpsampledWeight,
};
use promptfed_kernels::{
    Activation, Epilogue, InstructionSet, Kernels, MatrixView, PackedMatrix, Precision, Write,
};
use std::time::Instant;

fn bench(name: &str, flops: f64, mut f: impl FnMut()) {
    if let Ok(filter) = std::env::var("FILTER") {
        if !name.contains(&filter) {
            return;
        }
    }
    f();
    let mut best = f64::MAX;
    for _ in 0..7 {
        let t = Instant::now();
        f();
        best = best.min(t.elapsed().as_secs_f64());
    }
    println!(
        "{name:40} {:9.3} ms {:8.1} GF/s",
        best * 1e3,
        flops / best / 1e9
    );
}

fn noise(n: usize) -> Vec<f32> {
    let mut s = std::hint::black_box(12345u32);
    (0..n)
        .map(|_| {
            s = s.wrapping_mul(1664525).wrapping_add(1013904223);
            (s >> 8) as f32 / 8388608.0 - 1.0
        })
        .collect()
}

fn main() {
    let k = match std::env::args().nth(1) {
        Some(name) => Kernels::with(name.parse::<InstructionSet>().expect("set")).expect("here"),
        None => Kernels::chosen().expect("set"),
    };
    {
        use promptfed_kernels::attention::{Heads, Mask, Sequences};
        for (b, t, h, w) in [
            (1usize, 4096usize, 8usize, 40usize),
            (64, 68, 6, 64),
            (2, 1024, 8, 80),
        ] {
            let d = h * w;
            let q = noise(b * t * d);
            let mut o = vec![0.0; q.len()];
            let s = || Sequences::dense(&q, t, d);
            bench(
                &format!("attention {b}x{t} {h}x{w}"),
                (4 * b * t * t * d) as f64,
                || {
                    k.attention(
                        s(),
                        s(),
                        s(),
                        Heads { count: h, width: w },
                        Mask::None,
                        Precision::F32,
                        &mut o,
                    )
                },
            );
        }
        let x = noise(64 * 64 * 320);
        let g = noise(320);
        let mut o = vec![0.0; x.len()];
        let n = promptfed_kernels::group_norm::GroupNorm {
            groups: 32,
            eps: 1e-5,
            gamma: &g,
            beta: &g,
            activation: Activation::Silu,
        };
        bench("group norm silu 320x64x64", 1e6, || {
            k.group_norm(&x, 1, n, &mut o)
        });
        bench("layer norm 4096x320", 1e6, || {
            k.layer_norm(
                &x,
                320,
                1e-5,
                promptfed_kernels::layer_norm::Modulation::None,
                &mut o,
            )
        });
    }
    for p in [Precision::F32, Precision::Bf16] {
        println!("{p:?}");
        for (b, ci, h, co) in [
            (1, 320, 64, 320),
            (1, 1280, 16, 1280),
            (64, 24, 32, 24),
            (64, 64, 32, 64),
            (64, 512, 4, 512),
        ] {
            let shape = ConvolutionShape::same(3, 1);
            let c = Convolution::new(shape, [h, h, ci], co).expect("shape");
            let w = noise(9 * ci * co);
            let pw = PackedWeight::new(k, shape, MatrixView::row_major(&w, co), p);
            let x = noise(b * h * h * ci);
            let mut y = vec![0.0; b * h * h * co];
            let fl = (2 * b * h * h * 9 * ci * co) as f64;
            bench(&format!("conv {b}x{ci}x{h} -> {co}"), fl, || {
                c.forward(k, &x, &pw, Epilogue::default(), &mut y)
            });
            if p == Precision::F32 {
                let mut dx = vec![0.0; x.len()];
                let mut dw = vec![0.0; w.len()];
                bench("   input gradient", fl, || {
                    c.input_gradient(k, &w, &y, &mut dx, Write::Replace, p)
                });
                bench("   weight gradient", fl, || {
                    c.weight_gradient(k, &x, &y, &mut dw)
                });
            }
        }
        let x = noise(320 * 32 * 32);
        let w = noise(320 * 320 * 9);
        let u = UpsampledWeight::from_oihw(k, &w, [320, 320], p);
        let mut y = vec![0.0; 4 * x.len()];
        bench(
            "upsampled 320x32 -> 64",
            (2 * 320 * 320 * 9 * 64 * 64u64) as f64,
            || u.forward(k, &x, [32, 32], Epilogue::default(), &mut y),
        );
        for (m, kk, n) in [
            (4096, 320, 1280),
            (2048, 2048, 2048),
            (4352, 384, 1152),
            (77, 768, 320),
        ] {
            let w = noise(kk * n);
            let pw = PackedMatrix::new(k, MatrixView::row_major(&w, n), p);
            let x = noise(m * kk);
            let mut y = vec![0.0; m * n];
            let fl = (2 * m * kk * n) as f64;
            bench(&format!("linear {m}x{kk}x{n}"), fl, || {
                k.multiply(&x, &pw, Epilogue::default(), &mut y)
            });
            let bias = vec![0.5; n];
            let e = Epilogue {
                bias: Some(&bias),
                activation: Activation::Gelu,
                ..Epilogue::default()
            };
            bench("   bias, gelu", fl, || k.multiply(&x, &pw, e, &mut y));
        }
    }
}
