//! Expectation maximisation of Gaussian mixtures with diagonal covariances (Bishop 2006, "Pattern Recognition and Machine Learning",
//! section 9.2.2, equations 9.23 to 9.28), as scikit-learn's `GaussianMixture` does it: a constant is added to every variance, and it ends
//! where the mean log-likelihood of a row changes by less than a tolerance.

use super::{Component, Mixture, squared_distance};
use crate::quality::FeatureSet;

/// Added to every variance, scikit-learn's `reg_covar`: no component shrinks to a point.
const FLOOR: f64 = 1e-6;

/// A component with less than so many images is left out.
const LEAST_IMAGES: f64 = 1e-3;

/// When it ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    /// Passes at most.
    passes: usize,
    /// A change of the mean log-likelihood that is none.
    tolerance: f64,
}

impl Ending {
    /// Scikit-learn's.
    pub(super) const DEFAULT: Self = Self {
        passes: 100,
        tolerance: 1e-3,
    };

    /// The mixture that `start` becomes on `set`.
    pub(super) fn run(self, set: &FeatureSet, start: Mixture) -> Mixture {
        let mut mixture = start;
        let mut last = f64::NEG_INFINITY;
        for _ in 0..self.passes {
            let (responsibilities, likelihood) = expect(set, &mixture);
            mixture = maximise(set, &responsibilities);
            if (likelihood - last).abs() < self.tolerance {
                break;
            }
            last = likelihood;
        }
        mixture
    }
}

/// The responsibility of each component for each row, `[n, components]`, and the mean log-likelihood of the rows: equations 9.23 and 9.28.
fn expect(set: &FeatureSet, mixture: &Mixture) -> (Vec<f64>, f64) {
    let count = mixture.components.len();
    let log_tau = std::f64::consts::TAU.ln();
    let terms: Vec<(f64, &[f64], Vec<f64>)> = mixture
        .components
        .iter()
        .map(|component| {
            let variances = &component.variances;
            let volume: f64 = variances.iter().map(|v| v.ln() + log_tau).sum();
            let precisions = variances.iter().map(|v| v.recip()).collect();
            let constant = component.weight.ln() - 0.5 * volume;
            (constant, component.means.as_slice(), precisions)
        })
        .collect();
    let mut responsibilities = Vec::with_capacity(set.len() * count);
    let mut sum = 0.0;
    for row in set.values().chunks_exact(set.width()) {
        let logs = terms.iter().map(|(constant, means, precisions)| {
            constant - 0.5 * squared_distance(row, means, precisions)
        });
        let place = responsibilities.len();
        responsibilities.extend(logs);
        let own = &mut responsibilities[place..];
        // The largest term is taken out, or all would be 0 far from every mean.
        let peak = own.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = own.iter().map(|log| (log - peak).exp()).sum();
        let evidence = peak + total.ln();
        own.iter_mut()
            .for_each(|log| *log = (*log - evidence).exp());
        sum += evidence;
    }
    (responsibilities, sum / set.len().max(1) as f64)
}

/// The components that are most likely under `responsibilities [n, components]`: equations 9.24 to 9.27. Those with no images are left out.
pub(super) fn maximise(set: &FeatureSet, responsibilities: &[f64]) -> Mixture {
    let count = responsibilities.len() / set.len().max(1);
    let component = |place: usize| {
        let shares = || {
            responsibilities
                .iter()
                .skip(place)
                .step_by(count.max(1))
                .copied()
        };
        let rows = || shares().zip(set.values().chunks_exact(set.width()));
        let images: f64 = shares().sum();
        if images < LEAST_IMAGES {
            return None;
        }
        let mut means = vec![0.0; set.width()];
        for (share, row) in rows().filter(|(share, _)| *share > 0.0) {
            for (mean, x) in means.iter_mut().zip(row) {
                *mean += share * f64::from(*x);
            }
        }
        means.iter_mut().for_each(|mean| *mean /= images);
        let mut variances = vec![0.0; set.width()];
        for (share, row) in rows().filter(|(share, _)| *share > 0.0) {
            for ((variance, x), mean) in variances.iter_mut().zip(row).zip(&means) {
                let apart = f64::from(*x) - mean;
                *variance += share * apart * apart;
            }
        }
        variances
            .iter_mut()
            .for_each(|variance| *variance = *variance / images + FLOOR);
        Some(Component {
            weight: images,
            means,
            variances,
        })
    };
    let mut components: Vec<Component> = (0..count).filter_map(component).collect();
    let all: f64 = components.iter().map(|component| component.weight).sum();
    components
        .iter_mut()
        .for_each(|component| component.weight /= all);
    Mixture { components }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// Of `golden/mixture.py`: scikit-learn's mixtures.
    #[derive(Deserialize)]
    struct Golden {
        tolerance: f64,
        floor: f64,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        width: usize,
        rows: Vec<f32>,
        start: State,
        one: State,
        four: State,
        end: State,
        passes: usize,
        log_likelihood: f64,
    }

    #[derive(Deserialize)]
    struct State {
        weights: Vec<f64>,
        means: Vec<Vec<f64>>,
        variances: Vec<Vec<f64>>,
    }

    impl State {
        fn mixture(&self) -> Mixture {
            let parts = self.weights.iter().zip(&self.means).zip(&self.variances);
            let component =
                |((weight, means), variances): ((&f64, &Vec<f64>), &Vec<f64>)| Component {
                    weight: *weight,
                    means: means.clone(),
                    variances: variances.clone(),
                };
            Mixture {
                components: parts.map(component).collect(),
            }
        }
    }

    fn assert_close(found: &Mixture, expected: &State) {
        let expected = expected.mixture();
        assert_eq!(found.components.len(), expected.components.len());
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-7, "{a} and not {b}");
        for (found, expected) in found.components.iter().zip(&expected.components) {
            close(found.weight, expected.weight);
            let all = |component: &Component| {
                [component.means.clone(), component.variances.clone()].concat()
            };
            for (a, b) in all(found).into_iter().zip(all(expected)) {
                close(a, b);
            }
        }
    }

    #[test]
    fn mixtures_are_those_of_scikit_learn() {
        let golden: Golden =
            serde_json::from_str(include_str!("../../tests/golden/mixture.json")).unwrap();
        assert_eq!(
            (golden.floor, golden.tolerance),
            (FLOOR, Ending::DEFAULT.tolerance)
        );
        let mut moved = false;
        for case in golden.cases {
            let set = FeatureSet::new(case.width, case.rows).unwrap();
            let after = |passes| {
                let ending = Ending {
                    passes,
                    ..Ending::DEFAULT
                };
                ending.run(&set, case.start.mixture())
            };
            assert_close(&after(1), &case.one);
            assert_close(&after(4), &case.four);
            let end = Ending::DEFAULT.run(&set, case.start.mixture());
            assert_close(&end, &case.end);
            // It ended after as many passes as scikit-learn.
            assert_eq!(end, after(case.passes));
            // Where nothing moves any more, one pass fewer gives the same.
            moved |= end != after(case.passes - 1);
            let (_, likelihood) = expect(&set, &end);
            assert!(
                (likelihood - case.log_likelihood).abs() < 1e-7,
                "{likelihood}"
            );
        }
        assert!(moved);
    }

    #[test]
    fn no_pass_makes_the_rows_less_likely() {
        let golden: Golden =
            serde_json::from_str(include_str!("../../tests/golden/mixture.json")).unwrap();
        for case in golden.cases {
            let set = FeatureSet::new(case.width, case.rows).unwrap();
            let mut mixture = case.start.mixture();
            let mut last = f64::NEG_INFINITY;
            for _ in 0..12 {
                let (responsibilities, likelihood) = expect(&set, &mixture);
                assert!(likelihood > last - 1e-5, "{likelihood} after {last}");
                last = likelihood;
                mixture = maximise(&set, &responsibilities);
            }
        }
    }

    /// Far from every mean all densities are 0 in f64, and their logarithms are not.
    #[test]
    fn what_is_far_from_everything_is_somebody_s() {
        let set = FeatureSet::new(1, vec![1e4, -1e4, 0.0]).unwrap();
        let component = |mean: f64| Component {
            weight: 0.5,
            means: vec![mean],
            variances: vec![FLOOR],
        };
        let mixture = Mixture {
            components: vec![component(1.0), component(-1.0)],
        };
        let (responsibilities, likelihood) = expect(&set, &mixture);
        assert_eq!(responsibilities[..4], [1.0, 0.0, 0.0, 1.0]);
        // A logarithm of -500,000 has ten digits behind the point.
        assert!((responsibilities[4] - 0.5).abs() < 1e-9);
        assert!(likelihood.is_finite());
    }

    #[test]
    fn a_component_without_images_is_left_out() {
        let set = FeatureSet::new(1, vec![1.0, 2.0, 3.0]).unwrap();
        let found = maximise(&set, &[1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
        assert_eq!(found.components.len(), 1);
        assert_eq!(found.components[0].weight, 1.0);
        assert_eq!(found.components[0].means, [2.0]);
        assert!((found.components[0].variances[0] - 2.0 / 3.0).abs() < 1e-5);
    }
}
