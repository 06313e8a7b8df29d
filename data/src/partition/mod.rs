//! Dealing samples to clients.

mod dirichlet;
mod minimum;
mod names;
mod spec;

use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::{DataError, Result, seed};
pub use names::client_names;
pub use spec::Partition;

/// Deals the samples to clients. The result is disjoint and complete, with ascending indices per client, and depends
/// on nothing but the arguments.
///
/// `labels` and `domains` hold one entry per sample; `domains` is only looked at by the domain schemes. Clients of the
/// domain schemes follow the domains that occur, in ascending order.
///
/// When a client of a Dirichlet scheme falls short of `min_per_client`, samples drawn at random move to it one by one
/// from the client that then has most (of the same domain, where clients have domains).
///
/// # Errors
/// When the samples cannot give every client `min_per_client`, when `labels` and `domains` differ in length, or when a
/// number of the partition is out of range.
pub fn partition(
    labels: &[u32],
    domains: &[u32],
    partition: &Partition,
    min_per_client: usize,
    seed: u64,
) -> Result<Vec<Vec<usize>>> {
    partition.check()?;
    let impossible = |reason: String| DataError::ImpossiblePartition {
        partition: partition.to_string(),
        samples: labels.len(),
        reason,
    };
    if labels.len() != domains.len() {
        return Err(impossible(format!(
            "there are {} labels and {} domains",
            labels.len(),
            domains.len()
        )));
    }
    let mut rng = seed::rng("partition", seed, &partition.to_string());
    let mut deal =
        |pool: &[usize], clients: usize, alpha: Option<f64>| -> Result<Vec<Vec<usize>>> {
            let needed = clients.checked_mul(min_per_client);
            if needed.is_none_or(|needed| pool.len() < needed) {
                return Err(impossible(format!(
                    "{} samples cannot give {clients} clients {min_per_client} each",
                    pool.len()
                )));
            }
            Ok(match alpha {
                Some(alpha) => {
                    let mut parts = dirichlet::deal(pool, labels, clients, alpha, &mut rng);
                    minimum::level_up(&mut parts, min_per_client, &mut rng);
                    parts
                }
                None => deal_evenly(pool, clients, &mut rng),
            })
        };

    let all: Vec<usize> = (0..labels.len()).collect();
    let mut clients = match *partition {
        Partition::Iid { clients } => deal(&all, clients, None)?,
        Partition::Dirichlet { clients, alpha } => deal(&all, clients, Some(alpha))?,
        Partition::DomainPerClient => {
            let mut clients = Vec::new();
            for pool in by_domain(domains).values() {
                clients.extend(deal(pool, 1, None)?);
            }
            clients
        }
        Partition::DomainAndLabelSkew {
            alpha,
            clients_per_domain,
        } => {
            let mut clients = Vec::new();
            for pool in by_domain(domains).values() {
                clients.extend(deal(pool, clients_per_domain, Some(alpha))?);
            }
            clients
        }
    };
    for client in &mut clients {
        client.sort_unstable();
    }
    Ok(clients)
}

fn by_domain(domains: &[u32]) -> BTreeMap<u32, Vec<usize>> {
    let mut pools: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (sample, &domain) in domains.iter().enumerate() {
        pools.entry(domain).or_default().push(sample);
    }
    pools
}

fn deal_evenly(pool: &[usize], clients: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
    let mut pool = pool.to_vec();
    pool.shuffle(rng);
    let mut parts = vec![Vec::with_capacity(pool.len() / clients + 1); clients];
    for (i, sample) in pool.into_iter().enumerate() {
        parts[i % clients].push(sample);
    }
    parts
}
