//! Measures training speed: images per second of one model on all cores, and of two models side by
//! side with one thread each.
//!
//! `cargo run --release -p promptfed-learn --example train_speed [WIDTH [BATCH]]`

use std::time::Instant;

use promptfed_data::LabelledImages;
use promptfed_learn::{Classifier, ClassifierConfig, Result, TrainConfig, train};

const IMAGES: usize = 1024;
const SIZE: usize = 32;
const RUNS: usize = 5;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let width = arguments.next().map_or(Ok(24), |s| s.parse())?;
    let batch = arguments.next().map_or(Ok(64), |s| s.parse())?;
    let images = LabelledImages {
        size: SIZE,
        pixels: (0..IMAGES * SIZE * SIZE * 3)
            .map(|i| ((i * 2_654_435_761) >> 7) as u8)
            .collect(),
        labels: (0..IMAGES as u32).map(|i| i % 10).collect(),
        domains: vec![0; IMAGES],
        class_names: (0..10).map(|i| i.to_string()).collect(),
        domain_names: Vec::new(),
    };
    let (mut one, mut two) = (0f64, 0f64);
    for _ in 0..RUNS {
        let start = Instant::now();
        run(&images, width, batch)?;
        one = one.max(IMAGES as f64 / start.elapsed().as_secs_f64());
        let start = Instant::now();
        let results: Vec<Result<()>> = std::thread::scope(|scope| {
            let threads = [(), ()].map(|()| scope.spawn(|| alone(&images, width, batch)));
            let joined = threads.into_iter().filter_map(|t| t.join().ok());
            joined.collect()
        });
        results.into_iter().collect::<Result<Vec<()>>>()?;
        two = two.max(2.0 * IMAGES as f64 / start.elapsed().as_secs_f64());
    }
    println!(
        "width {width}, batch {batch}: one model {one:.0} images/s, two models {two:.0} images/s"
    );
    Ok(())
}

fn run(images: &LabelledImages, width: usize, batch: usize) -> Result<()> {
    let config = TrainConfig {
        epochs: 1,
        batch_size: batch,
        ..TrainConfig::default()
    };
    let mut model = Classifier::new(ClassifierConfig::new(10, SIZE).with_width(width), 0)?;
    train(&mut model, images, None, &config, &mut |_| ())?;
    Ok(())
}

fn alone(images: &LabelledImages, width: usize, batch: usize) -> Result<()> {
    match rayon::ThreadPoolBuilder::new().num_threads(1).build() {
        Ok(pool) => pool.install(|| run(images, width, batch)),
        Err(_) => run(images, width, batch),
    }
}
