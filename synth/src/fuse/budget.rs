//! How many images are kept of each class and domain, and of each backend where there are quotas.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::candidates::Candidates;
use super::quotas::{Scores, Softmax, apportion};
use super::select::{Budget, Group};

/// What a backend was allowed of a class and a domain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Domain, in [`Candidates::domain_names`].
    pub domain: u32,
    /// Class, in label order.
    pub class: u32,
    /// Backend, in [`Candidates::backends`].
    pub backend: u32,
    /// How useful its images were found.
    pub score: f64,
    /// The share that follows from the score, 0 to 1.
    pub share: f64,
    /// Images it made.
    pub made: u64,
    /// Images of it that are kept.
    pub kept: u64,
}

/// `keep` images in all, in proportion to what was made of each class and domain. With `scores`, each backend's part of a class and
/// domain follows them, as far as it made enough; the selection then chooses within what each backend made.
pub(super) fn budget(
    candidates: &Candidates,
    keep: u64,
    scores: Option<(&Scores, Softmax)>,
    seed: u64,
) -> (Budget, Vec<Quota>) {
    let mut cells: BTreeMap<(u32, u32), Vec<usize>> = BTreeMap::new();
    for (index, image) in candidates.images().iter().enumerate() {
        cells
            .entry((image.domain, image.class))
            .or_default()
            .push(index);
    }
    let sizes: Vec<u64> = cells.values().map(|cell| cell.len() as u64).collect();
    let parts: Vec<f64> = sizes.iter().map(|size| *size as f64).collect();
    let keeps = apportion(&parts, keep, &sizes);
    let mut budget = Budget {
        groups: Vec::new(),
        seed,
    };
    let mut quotas = Vec::new();
    for (((domain, class), members), keep) in cells.into_iter().zip(keeps) {
        let Some((scores, softmax)) = scores else {
            budget.groups.push(Group {
                members,
                keep: keep as usize,
            });
            continue;
        };
        let scores = scores.cell(domain as usize, class as usize);
        let shares = softmax.shares(&scores);
        let mut of_backends = vec![Vec::new(); candidates.backends().len()];
        for image in members {
            of_backends[candidates.backend(image)].push(image);
        }
        let caps: Vec<u64> = of_backends.iter().map(|of| of.len() as u64).collect();
        let keeps = apportion(&shares, keep, &caps);
        for (backend, (members, kept)) in of_backends.into_iter().zip(keeps).enumerate() {
            quotas.push(Quota {
                domain,
                class,
                backend: backend as u32,
                score: scores[backend],
                share: shares[backend],
                made: members.len() as u64,
                kept,
            });
            budget.groups.push(Group {
                members,
                keep: kept as usize,
            });
        }
    }
    (budget, quotas)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuse::candidates::Candidate;

    /// Two backends that make 30 and 10 images of each of two classes.
    fn candidates() -> Candidates {
        let of = |set: u32, n: u64| {
            (0..2 * n).map(move |row| Candidate {
                set,
                row,
                class: (row % 2) as u32,
                domain: 0,
            })
        };
        Candidates::of(&["a", "b"], of(0, 30).chain(of(1, 10)).collect(), 2)
    }

    #[test]
    fn without_scores_backends_are_chosen_from_together() {
        let (budget, quotas) = budget(&candidates(), 41, None, 0);
        let keeps: Vec<usize> = budget.groups.iter().map(|group| group.keep).collect();
        assert_eq!((keeps, quotas.len()), (vec![21, 20], 0));
    }

    #[test]
    fn scores_move_images_to_the_better_backend_as_far_as_it_made_enough() {
        let scores = Scores {
            values: vec![vec![vec![0.2, 0.9]], vec![vec![0.9, 0.2]]],
        };
        let softmax = Softmax {
            temperature: 0.05,
            floor: 0.2,
        };
        let (budget, quotas) = budget(&candidates(), 40, Some((&scores, softmax)), 0);
        let keeps: Vec<usize> = budget.groups.iter().map(|group| group.keep).collect();
        // Of 20 images of class 0 the better one gets 18 and has 10; of class 1 it gets 18 and the other 2.
        assert_eq!(keeps, [10, 10, 18, 2]);
        assert!((quotas[0].share - 0.1).abs() < 1e-3 && quotas[1].made == 10);
    }

    #[test]
    fn more_than_there_are_is_everything() {
        let (budget, _) = budget(&candidates(), 1000, None, 0);
        assert_eq!(budget.groups.iter().map(|g| g.keep).sum::<usize>(), 80);
    }
}
