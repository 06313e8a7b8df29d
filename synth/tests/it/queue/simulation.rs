//! The scheduler under failures in simulated time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use promptfed_synth::queue::{LARGEST_SHARD, LEAST_SHARD, Policy};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::world::{Outcome, Poison, RATES, Rates, Settings, simulate};

/// The one seed to run, in place of all.
const SEED: &str = "PROMPTFED_QUEUE_SEED";

const SEEDS: u64 = 2000;

/// A small queue that depends on the seed alone; every tenth one has shards that cannot be drawn.
fn small(seed: u64) -> Settings {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
    let workers = (0..rng.random_range(2..8)).map(|worker| {
        let per_image = Duration::from_millis(rng.random_range(100..2000));
        // Each kind has a worker.
        (worker % 2, per_image)
    });
    let workers = workers.collect();
    let mut first = 0;
    let shards = (0..rng.random_range(5..30)).map(|_| {
        let images = rng.random_range(LEAST_SHARD..=LARGEST_SHARD);
        let shard = (first, usize::from(rng.random_bool(0.3)), images);
        first += u64::from(images);
        shard
    });
    let shards: Vec<_> = shards.collect();
    let mut poison = BTreeMap::new();
    if seed.is_multiple_of(10) {
        poison.insert(shards[0].0, Poison::Told);
        poison.insert(shards[shards.len() - 1].0, Poison::Deadly);
    }
    Settings {
        policy: Policy::default(),
        rates: RATES,
        workers,
        shards,
        poison,
    }
}

fn run(seed: u64) -> Outcome {
    let settings = small(seed);
    let outcome = simulate(&settings, seed).unwrap_or_else(|fault| {
        panic!("{fault}; again: {SEED}={seed} cargo test -p promptfed-synth --test it queue::simulation::every")
    });
    assert_eq!(outcome.set_aside, settings.poison.len());
    outcome
}

#[test]
fn every_image_is_in_the_result_once_whatever_fails() {
    if let Ok(seed) = std::env::var(SEED) {
        println!("{:?}", run(seed.parse().unwrap()));
        return;
    }
    let (mut images, mut drawn) = (0, 0);
    for seed in 0..SEEDS {
        let outcome = run(seed);
        images += outcome.images;
        drawn += outcome.drawn;
    }
    let ratio = drawn as f64 / images as f64;
    println!("{drawn} images drawn for {images}: {ratio:.4}");
    assert!(ratio > 1.001, "nothing has failed: {ratio}");
    assert!(ratio <= 1.05, "{drawn} images drawn for {images}: {ratio}");
}

#[test]
fn a_seed_gives_the_same_course() {
    for seed in [3, 10] {
        assert_eq!(format!("{:?}", run(seed)), format!("{:?}", run(seed)));
    }
}

#[test]
fn nothing_is_drawn_twice_where_nothing_fails() {
    let never = Rates {
        lost: 0.0,
        twice: 0.0,
        crash: 0.0,
        stall: 0.0,
        server: 0.0,
        queue: 0.0,
    };
    for seed in 1..10 {
        let settings = Settings {
            rates: never,
            ..small(seed)
        };
        let outcome = simulate(&settings, seed).unwrap();
        assert_eq!(outcome.drawn, outcome.images);
    }
}

/// The figures of docs/scale-out.md.
#[test]
#[ignore = "minutes; prints figures"]
fn ten_thousand_workers_and_a_hundred_million_images() {
    let (workers, images, shard) = (10_000u32, 100_000_000u64, 128u32);
    let shards = images.div_ceil(u64::from(shard));
    for per_image in [Duration::from_millis(500), Duration::from_millis(20)] {
        let settings = Settings {
            policy: Policy::default(),
            rates: Rates {
                // Restoring this many shards takes seconds of the simulation's own time.
                server: 0.0,
                queue: 0.0,
                ..RATES
            },
            workers: vec![(0, per_image); workers as usize],
            shards: (0..shards)
                .map(|n| (n * u64::from(shard), 0, shard))
                .collect(),
            poison: BTreeMap::new(),
        };
        let start = Instant::now();
        let outcome = simulate(&settings, 1).unwrap();
        let (took, seconds) = (start.elapsed().as_secs_f64(), outcome.seconds);
        let ideal = images as f64 * per_image.as_secs_f64() / f64::from(workers);
        println!(
            "{} ms an image: {seconds:.0} s, {:.3} of ideal; {:.0} messages/s, at most {}; {:.0} ledger writes/s; {:.0} objects/s; {:.4} drawn; simulated in {took:.0} s, {:.0} messages/s",
            per_image.as_millis(),
            ideal / seconds,
            outcome.messages as f64 / seconds,
            outcome.peak,
            outcome.writes as f64 / seconds,
            outcome.objects as f64 / seconds,
            outcome.drawn as f64 / outcome.images as f64,
            outcome.messages as f64 / took,
        );
    }
}
