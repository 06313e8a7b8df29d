//! How well what was learned from one backend's images names the images of the others: which backend is good at what, as the server
//! alone can tell.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::candidates::Candidates;
use super::super::quotas::Scores;
use super::Agreement;

/// Images named rightly, by the backend whose model named them, the backend that made them, their domain and their class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// Names of the backends.
    pub backends: Vec<String>,
    /// `[model][maker][domain][class]`: `[right, all]`.
    pub counts: Vec<Vec<Vec<Vec<[u64; 2]>>>>,
    /// `[class][predicted class]`: what models take the images of other backends for.
    pub taken_for: Vec<Vec<u64>>,
}

impl Transfer {
    /// Counts what the backends' models name rightly.
    pub fn of(candidates: &Candidates, agreement: &Agreement) -> Self {
        let backends = candidates.backends().len();
        let domains = candidates.domain_names().len().max(1);
        let classes = candidates.class_names().len();
        let mut counts =
            vec![vec![vec![vec![[0; 2]; classes]; domains]; backends]; agreement.models()];
        let mut taken_for = vec![vec![0; classes]; classes];
        let alone = backends < 2;
        for (image, candidate) in candidates.images().iter().enumerate() {
            let maker = candidates.backend(image);
            for (model, predicted) in agreement.predicted(image).iter().enumerate() {
                let cell =
                    &mut counts[model][maker][candidate.domain as usize][candidate.class as usize];
                cell[0] += u64::from(*predicted == candidate.class);
                cell[1] += 1;
                if alone || model != maker {
                    taken_for[candidate.class as usize][*predicted as usize] += 1;
                }
            }
        }
        Self {
            backends: candidates.backends().to_vec(),
            counts,
            taken_for,
        }
    }

    /// The other class that the images of a class are most often taken for, by class, where that is `share` of them or more.
    pub fn confused(&self, share: f64) -> BTreeMap<u32, u32> {
        let of_class = |(class, row): (u32, &Vec<u64>)| {
            let all: u64 = row.iter().sum();
            let others = (0u32..).zip(row).filter(|(other, _)| *other != class);
            // Of equals the first.
            let most = others.max_by_key(|(other, images)| (**images, std::cmp::Reverse(*other)));
            let (other, images) = most.filter(|(_, images)| **images > 0)?;
            (*images as f64 >= share * all as f64).then_some((class, other))
        };
        (0..).zip(&self.taken_for).filter_map(of_class).collect()
    }

    /// The share of `maker`'s images of a domain that `model` names rightly, in 0 to 1; nothing where it made none.
    pub fn accuracy(&self, model: usize, maker: usize, domain: usize) -> Option<f64> {
        let classes = self.counts[model][maker][domain].iter();
        let (right, all) = classes.fold((0, 0), |sum, [right, all]| (sum.0 + right, sum.1 + all));
        (all > 0).then(|| right as f64 / all as f64)
    }

    /// How much better each backend's model names images than the others' models name *the same* images, by domain and class: the mean
    /// over the makers other than itself of its share of right names less the mean share of the models of all backends but the maker
    /// and itself. Shares are drawn towards those of domain and model as in [`Scores::of_counts`].
    ///
    /// Judged on different images, a model would look bad for the images of bad makers. So two backends cannot be told apart: both
    /// score 0, as does a single one.
    pub fn scores(&self) -> Scores {
        let models = self.counts.len();
        // By maker: what all models name rightly of its images.
        let by_maker: Vec<Scores> = (0..self.backends.len())
            .map(|maker| {
                let of_model = |model: &Vec<Vec<Vec<[u64; 2]>>>| -> Vec<Vec<(f64, f64)>> {
                    let pair = |[right, all]: &[u64; 2]| (*right as f64, *all as f64);
                    let of_domain = |classes: &Vec<[u64; 2]>| classes.iter().map(pair).collect();
                    model[maker].iter().map(of_domain).collect()
                };
                Scores::of_counts(&self.counts.iter().map(of_model).collect::<Vec<_>>())
            })
            .collect();
        let advantage = |model: usize, domain: usize, class: usize| {
            let of_maker = |maker: usize| {
                let shares = by_maker[maker].cell(domain, class);
                let others = (0..models).filter(|other| ![maker, model].contains(other));
                let others: Vec<f64> = others.map(|other| shares[other]).collect();
                let mean = others.iter().sum::<f64>() / others.len().max(1) as f64;
                (!others.is_empty()).then(|| shares[model] - mean)
            };
            let makers = (0..self.backends.len()).filter(|maker| *maker != model);
            let advantages: Vec<f64> = makers.filter_map(of_maker).collect();
            advantages.iter().sum::<f64>() / advantages.len().max(1) as f64
        };
        let shape = self.counts.first().and_then(|makers| makers.first());
        let (domains, classes) = shape.map_or((0, 0), |d| (d.len(), d.first().map_or(0, Vec::len)));
        let of_domain = |model, domain| (0..classes).map(|c| advantage(model, domain, c)).collect();
        let of_model = |model| (0..domains).map(|d| of_domain(model, d)).collect();
        Scores {
            values: (0..models).map(of_model).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuse::candidates::Candidate;

    #[test]
    fn the_backend_whose_model_names_the_others_rightly_scores_best() {
        // Three backends, 20 images each of 2 classes; model 1 names everything rightly, model 0 only its own, model 2 nothing.
        let images = (0..60).map(|i| Candidate {
            set: i / 20,
            row: u64::from(i % 20),
            class: i % 2,
            domain: 0,
        });
        let candidates = Candidates::of(&["a", "b", "c"], images.collect(), 2);
        let predicted = (0..60u32).flat_map(|i| {
            let right = i % 2;
            [if i < 20 { right } else { 1 - right }, right, 1 - right]
        });
        let agreement = Agreement::new(3, vec![0.5; 180], predicted.collect());
        let transfer = Transfer::of(&candidates, &agreement);
        assert_eq!(transfer.accuracy(0, 0, 0), Some(1.0));
        assert_eq!(transfer.accuracy(0, 1, 0), Some(0.0));
        let scores = transfer.scores().cell(0, 1);
        assert!(
            scores[1] > 0.8 && scores[0] < 0.3 && scores[2] < 0.3,
            "{scores:?}"
        );
    }
}
