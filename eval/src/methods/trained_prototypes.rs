//! Prototypes that the server trains to stand apart.

use crate::wire::payload::Prototypes;
use std::collections::BTreeMap;

/// FedTGP (Zhang et al. 2024, "FedTGP: Trainable Global Prototypes with Adaptive-Margin-Enhanced Contrastive Learning", eq. 6 and 7): the global
/// prototypes `P` minimise, over the prototypes `p` of all clients, the cross-entropy of `-(||p - P_c|| + delta [c is p's class])`. The margin
/// `delta` is the largest, over classes, of the distance from a class's mean prototype to the nearest other's, at most `max_margin`; means are by the
/// clients' images.
///
/// The paper makes `P` from an embedding by a small network; here they are trained by themselves, from the clients' means.
#[derive(Debug, Clone, Copy)]
pub(super) struct TrainedPrototypes {
    /// Passes over the clients' prototypes.
    pub(super) epochs: usize,
    /// Learning rate of plain gradient descent, above 0.
    pub(super) learning_rate: f64,
    /// The largest margin.
    pub(super) max_margin: f64,
}

impl TrainedPrototypes {
    /// Trains from `start`, the clients' means.
    pub(super) fn train(&self, clients: &[Prototypes], start: Prototypes) -> Prototypes {
        let Prototypes(start) = start;
        let counts: BTreeMap<u32, u32> = start.iter().map(|(c, (n, _))| (*c, *n)).collect();
        let mut global: BTreeMap<u32, Vec<f64>> = start
            .iter()
            .map(|(class, (_, features))| {
                (*class, features.iter().map(|v| f64::from(*v)).collect())
            })
            .collect();
        let margin = margin(&global).min(self.max_margin);
        let told: Vec<(u32, Vec<f64>)> = clients
            .iter()
            .flat_map(|Prototypes(classes)| classes)
            .map(|(class, (_, features))| {
                (*class, features.iter().map(|v| f64::from(*v)).collect())
            })
            .collect();
        for _ in 0..self.epochs {
            let gradient = gradient(&global, &told, margin);
            for (class, slope) in gradient {
                for (value, slope) in global.entry(class).or_default().iter_mut().zip(slope) {
                    *value -= self.learning_rate * slope;
                }
            }
        }
        let features = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect();
        let count = |class: &u32| counts.get(class).copied().unwrap_or(0);
        let all = global.into_iter();
        Prototypes(
            all.map(|(c, values)| (c, (count(&c), features(values))))
                .collect(),
        )
    }
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b));
    squares.sum::<f64>().sqrt()
}

fn margin(global: &BTreeMap<u32, Vec<f64>>) -> f64 {
    let nearest = |class: &u32, own: &Vec<f64>| {
        let others = global.iter().filter(|(other, _)| *other != class);
        others
            .map(|(_, other)| distance(own, other))
            .fold(f64::INFINITY, f64::min)
    };
    let each = global.iter().map(|(class, own)| nearest(class, own));
    each.filter(|d| d.is_finite()).fold(0.0, f64::max)
}

/// The mean loss over the clients' prototypes.
#[cfg(test)]
fn loss(global: &BTreeMap<u32, Vec<f64>>, told: &[(u32, Vec<f64>)], margin: f64) -> f64 {
    let of = |(class, own): &(u32, Vec<f64>)| {
        let logits = logits(global, *class, own, margin);
        let sum: f64 = logits.values().map(|logit| logit.exp()).sum();
        sum.ln() - logits[class]
    };
    told.iter().map(of).sum::<f64>() / told.len() as f64
}

fn logits(
    global: &BTreeMap<u32, Vec<f64>>,
    class: u32,
    own: &[f64],
    margin: f64,
) -> BTreeMap<u32, f64> {
    let logit = |(other, prototype): (&u32, &Vec<f64>)| {
        let more = if *other == class { margin } else { 0.0 };
        (*other, -(distance(own, prototype) + more))
    };
    global.iter().map(logit).collect()
}

/// The gradient of the mean loss by each global prototype.
fn gradient(
    global: &BTreeMap<u32, Vec<f64>>,
    told: &[(u32, Vec<f64>)],
    margin: f64,
) -> BTreeMap<u32, Vec<f64>> {
    let mut sums: BTreeMap<u32, Vec<f64>> = global
        .iter()
        .map(|(class, values)| (*class, vec![0.0; values.len()]))
        .collect();
    for (class, own) in told {
        let logits = logits(global, *class, own, margin);
        let peak = logits.values().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = logits.values().map(|logit| (logit - peak).exp()).sum();
        for (other, logit) in logits {
            let (Some(prototype), Some(sum)) = (global.get(&other), sums.get_mut(&other)) else {
                continue;
            };
            let slope = (logit - peak).exp() / total - f64::from(u8::from(other == *class));
            // Of -||own - P|| by P.
            let length = distance(own, prototype).max(1e-12);
            for ((sum, p), o) in sum.iter_mut().zip(prototype).zip(own) {
                *sum += slope * (o - p) / length / told.len() as f64;
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> Vec<(u32, Vec<f64>)> {
        vec![
            (0, vec![0.1, 0.4]),
            (0, vec![-0.2, 0.9]),
            (2, vec![0.3, 0.2]),
            (2, vec![0.8, -0.1]),
            (5, vec![0.2, 0.6]),
        ]
    }

    fn global() -> BTreeMap<u32, Vec<f64>> {
        BTreeMap::from([
            (0, vec![0.0, 0.6]),
            (2, vec![0.5, 0.0]),
            (5, vec![0.25, 0.5]),
        ])
    }

    #[test]
    fn the_gradient_is_the_slope() {
        let found = gradient(&global(), &told(), 0.3);
        for (class, values) in &found {
            for (i, slope) in values.iter().enumerate() {
                let at = |by: f64| {
                    let mut moved = global();
                    moved.entry(*class).or_default()[i] += by;
                    loss(&moved, &told(), 0.3)
                };
                let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!(
                    (difference - slope).abs() < 1e-6,
                    "{difference} and not {slope}"
                );
            }
        }
    }

    #[test]
    fn trained_prototypes_stand_further_apart() {
        let client = |of: &[(u32, Vec<f64>)]| {
            let class = |(c, v): &(u32, Vec<f64>)| (*c, (1, v.iter().map(|v| *v as f32).collect()));
            Prototypes(of.iter().map(class).collect())
        };
        let told = told();
        let clients = [
            client(&[told[0].clone(), told[2].clone(), told[4].clone()]),
            client(&[told[1].clone(), told[3].clone()]),
        ];
        let start: Vec<(u32, Vec<f64>)> = global().into_iter().collect();
        let training = TrainedPrototypes {
            epochs: 200,
            learning_rate: 0.05,
            max_margin: 100.0,
        };
        let Prototypes(after) = training.train(&clients, client(&start));
        let as_map = |all: BTreeMap<u32, (u32, Vec<f32>)>| -> BTreeMap<u32, Vec<f64>> {
            let wide = |v: Vec<f32>| v.into_iter().map(f64::from).collect();
            all.into_iter().map(|(c, (_, v))| (c, wide(v))).collect()
        };
        let after = as_map(after);
        let least = |all: &BTreeMap<u32, Vec<f64>>| {
            let pairs = [(0, 2), (0, 5), (2, 5)];
            pairs
                .map(|(a, b)| distance(&all[&a], &all[&b]))
                .into_iter()
                .fold(f64::INFINITY, f64::min)
        };
        assert!(least(&after) > 1.2 * least(&global()), "{after:?}");
        let m = margin(&global());
        assert!(loss(&after, &told, m) < loss(&global(), &told, m));
    }
}
