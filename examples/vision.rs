//! What looks alike: for each of some drawings, whether the one nearest to it by a network's features is of its class.
//!
//! `cargo run --release --example vision`

use promptfed::data::{DecodeOptions, OpenOptions, open};
use promptfed::synth::bundled_assets;
use promptfed::vision::EfficientNet;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let assets = bundled_assets()?;
    let network = EfficientNet::load(&assets.join("efficientnet-lite0"))?;
    let drawings = open(&assets.join("emoji/test.parquet"), &OpenOptions::default())?;
    let some: Vec<usize> = (0..drawings.len()).step_by(8).collect();
    let drawings = drawings.subset(&some);

    let mut all: Vec<(u32, Vec<f32>)> = Vec::new();
    network.look_through(
        &drawings,
        &DecodeOptions::default(),
        &mut |samples, features| {
            let rows = features.as_chunks::<{ EfficientNet::FEATURES }>().0;
            let labels = samples.iter().map(|&i| drawings.samples[i].label);
            all.extend(labels.zip(rows.iter().map(|row| row.to_vec())));
        },
    )?;

    let mut alike = 0;
    for (i, (label, features)) in all.iter().enumerate() {
        let others = all.iter().enumerate().filter(|(j, _)| *j != i);
        let nearest = others
            .map(|(_, (other, theirs))| (cosine(features, theirs), other))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        alike += usize::from(nearest.is_some_and(|(_, other)| other == label));
    }
    println!(
        "the nearest of {alike} of {} drawings is of the same class",
        all.len()
    );
    Ok(())
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
