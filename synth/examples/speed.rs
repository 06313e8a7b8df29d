//! Measures an engine: images per second and arithmetic rate at several numbers of network calls, beside the rate of the
//! matrix products alone.
//!
//! `cargo run --release -p promptfed-synth --example speed [FOLDER] [IMAGES]`
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use candle_core::{Device, Tensor};
use promptfed_synth::engines::pocket::{Config, Pocket};
use promptfed_synth::{Generator, ImageRequest, ImageSeed, Sampler};
use rayon::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments
        .next()
        .unwrap_or_else(|| "assets/pocket/all".into());
    let images: u64 = arguments.next().map_or(Ok(64), |n| n.parse())?;
    let mut engine = Pocket::load(folder.as_ref())?;
    let config = engine.config().clone();
    let tokens = config.text_tokens + config.patches();
    for rows in [tokens * 8, tokens * 16, tokens * 32] {
        println!(
            "matrix products of {rows} rows: {:.0} GFLOP/s in turn, {:.0} side by side",
            products(&config, rows, false)?,
            products(&config, rows, true)?
        );
    }
    println!(
        "{:>7} {:>6} {:>6} {:>9} {:>9}",
        "sampler", "steps", "calls", "images/s", "GFLOP/s"
    );
    let pass = pass_flops(&config);
    for (sampler, steps) in [
        (Sampler::Ab2, 8),
        (Sampler::Euler, 8),
        (Sampler::Heun, 8),
        (Sampler::Heun, 20),
    ] {
        let requests: Vec<_> = (0..images)
            .map(|i| ImageRequest {
                steps,
                sampler,
                ..ImageRequest::with_defaults(
                    "a photo of a church",
                    ImageSeed::from_u64(i),
                    engine.describe(),
                )
            })
            .collect();
        let start = Instant::now();
        engine.generate(&requests)?;
        let rate = images as f64 / start.elapsed().as_secs_f64();
        let flops = pass * guided_passes(&config, sampler, steps);
        println!(
            "{sampler:>7} {steps:>6} {:>6} {rate:>9.2} {:>9.0}",
            sampler.network_calls(steps),
            rate * flops / 1e9
        );
    }
    Ok(())
}

/// Passes of one image through the network: two per guided call.
fn guided_passes(config: &Config, sampler: Sampler, steps: u32) -> f64 {
    let shift = f64::from(config.sampler.shift);
    let guided = |u: f64| {
        let t = u / (u + shift * (1.0 - u));
        if (config.sampler.interval[0]..=config.sampler.interval[1]).contains(&t) {
            2.0
        } else {
            1.0
        }
    };
    (0..steps)
        .map(|i| {
            let at = |i: u32| guided(f64::from(i as f32 / steps as f32));
            let second = sampler == Sampler::Heun && i + 1 < steps;
            at(i) + if second { at(i + 1) } else { 0.0 }
        })
        .sum()
}

/// Floating-point operations of the matrix products of one pass, attention among them.
fn pass_flops(config: &Config) -> f64 {
    let (n, d) = (config.patches() as f64, config.d as f64);
    let tokens = n + config.text_tokens as f64;
    let full = tokens * 12.0 * d * d + 2.0 * tokens * tokens * d;
    // The last block drops the text tokens after its attention.
    let dropped = config.text_tokens as f64 * 9.0 * d * d;
    let blocks = config.depth as f64 * full - dropped;
    let ends = 2.0 * n * config.patch_values() as f64 * d;
    2.0 * (blocks + ends + (6.0 + 2.0) * d * d)
}

/// GFLOP/s of the four matrix products of a block, one after another or one per core.
fn products(config: &Config, rows: usize, side_by_side: bool) -> candle_core::Result<f64> {
    let d = config.d;
    let shapes = [(d, 3 * d), (d, d), (d, 4 * d), (4 * d, d)];
    let operands = shapes
        .iter()
        .map(|(k, n)| {
            Ok((
                Tensor::ones((rows, *k), candle_core::DType::F32, &Device::Cpu)?,
                Tensor::ones((*k, *n), candle_core::DType::F32, &Device::Cpu)?,
            ))
        })
        .collect::<candle_core::Result<Vec<_>>>()?;
    let block = || operands.iter().try_for_each(|(x, w)| x.matmul(w).map(drop));
    let flops: f64 = shapes
        .iter()
        .map(|(k, n)| 2.0 * (rows * k * n) as f64)
        .sum();
    block()?;
    let rounds = (2e10 / flops) as u32;
    let start = Instant::now();
    if side_by_side {
        (0..rounds).into_par_iter().try_for_each(|_| block())?;
    } else {
        (0..rounds).try_for_each(|_| block())?;
    }
    Ok(f64::from(rounds) * flops / start.elapsed().as_secs_f64() / 1e9)
}
