//! Some of the public images, others each round.

use crate::seeds;
use promptfed_data::LabelledImages;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// `count` of the images, or all where there are fewer.
pub(super) fn draw(
    public: &LabelledImages,
    count: usize,
    seed: u64,
    round: usize,
) -> LabelledImages {
    public.subset(&places(public, count, seed, round))
}

/// Where they are among all.
pub(super) fn places(public: &LabelledImages, count: usize, seed: u64, round: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..public.len()).collect();
    let seed = seeds::derive(seed, &format!("public images {round}"));
    places.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    places.truncate(count);
    places
}
