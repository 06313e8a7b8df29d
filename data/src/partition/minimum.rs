//! Giving every client its minimum.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Moves samples drawn at random from the largest part (the first of equals) to every part below `minimum`. There must
/// be `minimum` samples per part.
pub(super) fn level_up(parts: &mut [Vec<usize>], minimum: usize, rng: &mut ChaCha8Rng) {
    for needy in 0..parts.len() {
        while parts[needy].len() < minimum {
            let sizes = parts.iter().map(Vec::len).enumerate();
            let Some((largest, size)) = sizes.rev().max_by_key(|&(_, size)| size) else {
                return;
            };
            if size <= minimum {
                return;
            }
            let taken = rng.random_range(0..size);
            let sample = parts[largest].swap_remove(taken);
            parts[needy].push(sample);
        }
    }
}
