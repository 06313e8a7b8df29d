//! Clients that hold alike.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Passes after which clusters are taken as they are.
const PASSES: usize = 50;

/// Clusters of clients with similar shares of the classes: Lloyd's algorithm on `shares [clients, classes]`, begun with `count` clients that are
/// drawn at random and far from each other. Each client is in one cluster, none is empty, and there are `count` of them or fewer.
pub(super) fn clusters(shares: &[Vec<f64>], count: usize, seed: u64) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let mut centres: Vec<Vec<f64>> = Vec::new();
    while centres.len() < count.min(shares.len()) {
        let far = |i: &usize| {
            let each = centres.iter().map(|centre| squared(&shares[*i], centre));
            each.fold(f64::INFINITY, f64::min)
        };
        let furthest = order
            .iter()
            .copied()
            .max_by(|a, b| far(a).total_cmp(&far(b)));
        match furthest.filter(|i| far(i) > 0.0) {
            Some(next) => centres.push(shares[next].clone()),
            None => break,
        }
    }
    let mut of = vec![usize::MAX; shares.len()];
    for _ in 0..PASSES {
        let nearest = |row: &Vec<f64>| {
            let each = centres.iter().map(|centre| squared(row, centre));
            let best = each.enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
            best.map_or(0, |(i, _)| i)
        };
        let next: Vec<usize> = shares.iter().map(nearest).collect();
        if next == of {
            break;
        }
        of = next;
        for (cluster, centre) in centres.iter_mut().enumerate() {
            let members: Vec<&Vec<f64>> = members(&of, cluster).map(|i| &shares[i]).collect();
            if let Some(first) = members.first() {
                *centre = (0..first.len())
                    .map(|class| {
                        members.iter().map(|m| m[class]).sum::<f64>() / members.len() as f64
                    })
                    .collect();
            }
        }
    }
    let all = (0..centres.len()).map(|cluster| members(&of, cluster).collect::<Vec<_>>());
    all.filter(|cluster| !cluster.is_empty()).collect()
}

fn members(of: &[usize], cluster: usize) -> impl Iterator<Item = usize> + '_ {
    let of = of.iter().enumerate();
    of.filter(move |(_, c)| **c == cluster).map(|(i, _)| i)
}

fn squared(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn clients_with_the_same_classes_come_together() {
        let shares = vec![
            vec![0.9, 0.1, 0.0],
            vec![0.0, 0.1, 0.9],
            vec![1.0, 0.0, 0.0],
            vec![0.1, 0.0, 0.9],
        ];
        for seed in 0..5 {
            let mut found = clusters(&shares, 2, seed);
            found.sort();
            assert_eq!(found, [vec![0, 2], vec![1, 3]]);
        }
        assert_eq!(clusters(&shares, 1, 0), [vec![0, 1, 2, 3]]);
        let alike = vec![vec![0.5, 0.5]; 3];
        assert_eq!(clusters(&alike, 2, 0), [vec![0, 1, 2]]);
    }

    proptest! {
        #[test]
        fn everybody_is_in_one_cluster(
            shares in prop::collection::vec(prop::collection::vec(0f64..1.0, 3), 1..12),
            count in 1usize..6,
            seed in 0u64..9,
        ) {
            let found = clusters(&shares, count, seed);
            prop_assert!(found.len() <= count && found.iter().all(|c| !c.is_empty()));
            let mut all: Vec<usize> = found.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..shares.len()).collect::<Vec<_>>());
        }
    }
}
