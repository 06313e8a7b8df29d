//! Clients whose computers are slower than the others'.

use super::SimulationError;
use crate::seeds;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::fmt;
use std::str::FromStr;

/// A share of the clients that take so many times as long to train.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stragglers {
    /// Share of the clients, above 0 and at most 1.
    pub share: f64,
    /// How many times as long they take, at least 1.
    pub factor: f64,
}

impl Stragglers {
    /// How many times as long each of so many clients takes: drawn once by a run's seed, alike for all methods.
    pub(super) fn factors(self, seed: u64, clients: usize) -> Vec<f64> {
        let mut order: Vec<usize> = (0..clients).collect();
        let seed = seeds::derive(seed, "stragglers");
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let slow = (self.share * clients as f64).round() as usize;
        let mut factors = vec![1.0; clients];
        for client in order.into_iter().take(slow.max(1)) {
            factors[client] = self.factor;
        }
        factors
    }
}

/// `0.2:5`: a share, and how many times as long.
impl FromStr for Stragglers {
    type Err = SimulationError;

    fn from_str(text: &str) -> Result<Self, SimulationError> {
        let read = || {
            let (share, factor) = text.split_once(':')?;
            let (share, factor) = (share.parse().ok()?, factor.parse().ok()?);
            let is_share = share > 0.0 && share <= 1.0;
            let is_factor = (1.0..=1e6).contains(&factor);
            (is_share && is_factor).then_some(Self { share, factor })
        };
        read().ok_or_else(|| {
            SimulationError(format!(
                "{text:?} is no share of the clients above 0 and at most 1, and after a colon how many times as long they take, from 1 to \
                 1000000; give for example 0.2:5"
            ))
        })
    }
}

impl fmt::Display for Stragglers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.share, self.factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_slow_and_who_follows_from_the_seed() {
        let some: Stragglers = "0.3:4".parse().unwrap();
        let factors = some.factors(7, 10);
        assert_eq!(factors.iter().filter(|f| **f == 4.0).count(), 3);
        assert_eq!(factors.iter().filter(|f| **f == 1.0).count(), 7);
        assert_eq!(factors, some.factors(7, 10));
        assert!((8..40).any(|seed| some.factors(seed, 10) != factors));
        let few: Stragglers = "0.01:2".parse().unwrap();
        assert_eq!(few.factors(1, 3).iter().sum::<f64>(), 4.0, "one at least");
        assert_eq!(some.to_string(), "0.3:4");
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for wrong in [
            "", "0.2", "0:5", "1.1:5", "0.2:0.5", "nan:5", "0.2:inf", "a:b",
        ] {
            let told = wrong.parse::<Stragglers>().unwrap_err().to_string();
            assert!(told.contains("0.2:5"), "{told}");
        }
    }
}
