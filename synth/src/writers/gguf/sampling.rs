//! How the next word is drawn.

use rand::Rng;
use rand_chacha::ChaCha20Rng;
use serde::{Deserialize, Serialize};

/// Temperature and nucleus (Holtzman et al. 2020), and the length of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// What logits are divided by, 0 to 5; 0 takes the likeliest.
    pub temperature: f32,
    /// The least probability, above 0 and up to 1, that the likeliest tokens have together from which one is drawn.
    pub top_p: f32,
    /// Most tokens of one prompt, 1 to 1024.
    pub max_tokens: u32,
}

impl Default for Sampling {
    /// Temperature 0.8, nucleus 0.95, 48 tokens.
    fn default() -> Self {
        Self {
            temperature: 0.8,
            top_p: 0.95,
            max_tokens: 48,
        }
    }
}

impl Sampling {
    /// What is wrong with the numbers, if anything.
    pub(crate) fn fault(self) -> Option<String> {
        if !(0.0..=5.0).contains(&self.temperature) {
            Some(format!("temperature {}; give 0 to 5", self.temperature))
        } else if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            Some(format!(
                "top-p {}; give a number above 0, up to 1",
                self.top_p
            ))
        } else if !(1..=1024).contains(&self.max_tokens) {
            Some(format!(
                "{} tokens for a prompt; allow 1 to 1024",
                self.max_tokens
            ))
        } else {
            None
        }
    }

    /// Draws an id by its logits. Numbers that are none count as impossible; of equals the first is taken for likelier.
    pub(super) fn draw(self, logits: &[f32], stream: &mut ChaCha20Rng) -> u32 {
        let mut order: Vec<u32> = (0..logits.len() as u32).collect();
        let logit = |id: u32| {
            let logit = logits[id as usize];
            if logit.is_nan() {
                f32::NEG_INFINITY
            } else {
                logit
            }
        };
        if self.temperature == 0.0 {
            let likeliest = order
                .into_iter()
                .min_by(|&a, &b| logit(b).total_cmp(&logit(a)));
            return likeliest.unwrap_or(0);
        }
        order.sort_by(|&a, &b| logit(b).total_cmp(&logit(a)));
        let most = order.first().map_or(0.0, |&id| logit(id));
        let weights: Vec<f64> = order
            .iter()
            .map(|&id| (f64::from(logit(id) - most) / f64::from(self.temperature)).exp())
            .collect();
        let all: f64 = weights.iter().sum();
        let mut nucleus = 0.0;
        let kept = weights.iter().take_while(|&&weight| {
            let goes_on = nucleus < f64::from(self.top_p) * all;
            nucleus += weight;
            goes_on
        });
        let kept = kept.count();
        let mass: f64 = weights[..kept].iter().sum();
        let mut point = stream.random::<f64>() * mass;
        for (id, weight) in order.iter().zip(&weights[..kept]) {
            if point < *weight {
                return *id;
            }
            point -= weight;
        }
        order.first().copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn counts(sampling: Sampling, logits: &[f32], draws: usize) -> Vec<usize> {
        let mut stream = ChaCha20Rng::from_seed([7; 32]);
        let mut counts = vec![0; logits.len()];
        for _ in 0..draws {
            counts[sampling.draw(logits, &mut stream) as usize] += 1;
        }
        counts
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let logits = [1.0_f32, 3.0, 2.0, f32::NAN];
        let sampling = Sampling {
            temperature: 2.0,
            top_p: 1.0,
            ..Sampling::default()
        };
        let weights = [1.0_f64, 3.0, 2.0].map(|l| (l / 2.0).exp());
        let all: f64 = weights.iter().sum();
        let draws = 40_000;
        let counts = counts(sampling, &logits, draws);
        assert_eq!(counts[3], 0);
        for (count, weight) in counts.iter().zip(weights) {
            let p = weight / all;
            // Five standard deviations of a binomial share.
            let bound = 5.0 * (p * (1.0 - p) / draws as f64).sqrt();
            assert!(
                (*count as f64 / draws as f64 - p).abs() < bound,
                "{counts:?}"
            );
        }
    }

    #[test]
    fn the_nucleus_ends_and_greed_takes_the_first_of_equals() {
        let logits = [0.0_f32, 2.0, 2.0, -5.0];
        let nucleus = Sampling {
            temperature: 1.0,
            top_p: 0.9,
            ..Sampling::default()
        };
        let drawn = counts(nucleus, &logits, 2000);
        assert!(
            drawn[0] == 0 && drawn[3] == 0 && drawn[1] > 800 && drawn[2] > 800,
            "{drawn:?}"
        );
        let greedy = Sampling {
            temperature: 0.0,
            ..Sampling::default()
        };
        assert_eq!(counts(greedy, &logits, 10), [0, 10, 0, 0]);
    }

    #[test]
    fn numbers_have_bounds() {
        let with = |change: fn(&mut Sampling)| {
            let mut sampling = Sampling::default();
            change(&mut sampling);
            sampling.fault()
        };
        assert_eq!(with(|_| {}), None);
        assert!(with(|s| s.temperature = -0.1).is_some());
        assert!(with(|s| s.temperature = f32::NAN).is_some());
        assert!(with(|s| s.top_p = 0.0).is_some());
        assert!(with(|s| s.top_p = f32::NAN).is_some());
        assert!(with(|s| s.max_tokens = 0).is_some());
    }
}
