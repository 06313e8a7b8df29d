//! Who holds what: reads labelled images, deals them to clients unevenly, and holds some of each client's back.
//!
//! `cargo run --release --example data [FOLDER, LIST OR PARQUET FILE]`; without one, the bundled drawings.

use promptfed::data::{
    DecodeOptions, Fit, OpenOptions, Partition, client_names, load, open, partition,
    stratified_split,
};
use promptfed::synth::bundled_assets;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let path = match given {
        Some(path) => path,
        None => bundled_assets()?.join("emoji/private.parquet"),
    };
    let dataset = open(&path, &OpenOptions::default())?;
    println!("{} images; {}", dataset.len(), dataset.taken_for());

    let scheme: Partition = "dirichlet:4:0.3".parse()?;
    let clients = partition(&dataset.labels(), &dataset.domains(), &scheme, 1, 7)?;
    let names = client_names(&dataset, &scheme, &clients);
    for (name, samples) in names.iter().zip(&clients) {
        let own = dataset.subset(samples);
        let (images, report) = load(&own, 32, Fit::Crop, &DecodeOptions::default())?;
        let (kept, held_out) = stratified_split(&images.labels, 0.1, 7);
        println!(
            "{name}: {} images to learn from, {} held out; {report}",
            kept.len(),
            held_out.len()
        );
    }
    Ok(())
}
