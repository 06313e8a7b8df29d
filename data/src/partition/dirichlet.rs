//! Label skew by Dirichlet-distributed class shares.

use std::collections::BTreeMap;

use rand::Rng;
use rand::distr::{Distribution, OpenClosed01};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_distr::Gamma;

/// Deals `pool` to `clients`: each class is shuffled and cut at the running sums of one Dirichlet draw.
pub(super) fn deal(
    pool: &[usize],
    labels: &[u32],
    clients: usize,
    alpha: f64,
    rng: &mut ChaCha8Rng,
) -> Vec<Vec<usize>> {
    let mut classes: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for &sample in pool {
        classes.entry(labels[sample]).or_default().push(sample);
    }
    let mut parts = vec![Vec::new(); clients];
    for samples in classes.values_mut() {
        samples.shuffle(rng);
        let shares = shares(clients, alpha, rng);
        let mut sum = 0.0;
        let mut start = 0;
        for (client, share) in shares.iter().enumerate() {
            sum += share;
            let end = if client + 1 == clients {
                samples.len()
            } else {
                ((sum * samples.len() as f64).round() as usize).clamp(start, samples.len())
            };
            parts[client].extend_from_slice(&samples[start..end]);
            start = end;
        }
    }
    parts
}

/// One draw of the symmetric Dirichlet distribution, as normalised Gamma draws. These are kept as logarithms, since
/// for small `alpha` most of them underflow: log G(a) = log G(a + 1) + log(U) / a (Marsaglia and Tsang 2000, section 6).
fn shares(clients: usize, alpha: f64, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let Ok(gamma) = Gamma::new(alpha + 1.0, 1.0) else {
        // Only an `alpha` that is not finite or positive is refused, and `Partition::check` came before.
        return vec![1.0 / clients as f64; clients];
    };
    let logarithms: Vec<f64> = (0..clients)
        .map(|_| {
            let draw: f64 = gamma.sample(rng);
            let uniform: f64 = rng.sample(OpenClosed01);
            draw.ln() + uniform.ln() / alpha
        })
        .collect();
    let largest = logarithms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        // With an `alpha` near 0 even the logarithms leave the range of numbers: one client gets all, which is the limit.
        let mut shares = vec![0.0; clients];
        shares[rng.random_range(0..clients)] = 1.0;
        return shares;
    }
    let weights: Vec<f64> = logarithms.iter().map(|l| (l - largest).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|w| w / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed;

    /// Mean 1/K and variance (K - 1) / (K^2 (K alpha + 1)) of a component of the symmetric Dirichlet distribution.
    #[test]
    fn shares_have_the_moments_of_the_dirichlet_distribution() {
        const DRAWS: usize = 20_000;
        let mut rng = seed::rng("test", 7, "moments");
        for alpha in [0.05, 0.5, 5.0] {
            let clients = 4;
            let k = clients as f64;
            let first: Vec<f64> = (0..DRAWS)
                .map(|_| shares(clients, alpha, &mut rng)[0])
                .collect();
            let mean = first.iter().sum::<f64>() / DRAWS as f64;
            let variance = first.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / DRAWS as f64;
            let expected = (k - 1.0) / (k * k * (k * alpha + 1.0));
            assert!((mean - 1.0 / k).abs() < 0.015, "alpha {alpha}: mean {mean}");
            assert!(
                (variance / expected - 1.0).abs() < 0.06,
                "alpha {alpha}: {variance} {expected}"
            );
        }
    }

    #[test]
    fn extreme_concentrations_still_sum_to_one() {
        let mut rng = seed::rng("test", 7, "extremes");
        for alpha in [f64::MIN_POSITIVE, 1e-300, 1e-9, 1e9, 1e300] {
            let shares = shares(5, alpha, &mut rng);
            let sum: f64 = shares.iter().sum();
            assert!((sum - 1.0).abs() < 1e-9, "alpha {alpha}: {shares:?}");
            assert!(shares.iter().all(|s| (0.0..=1.0).contains(s)));
        }
    }
}
