//! Noise on what a client tells, for differential privacy of each of its images.

use std::fmt;
use std::str::FromStr;

use rand::rngs::OsRng;
use rand::{SeedableRng, TryRngCore};
use rand_chacha::ChaCha20Rng;
use rand_distr::{Distribution, Exp1, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Released numbers are multiples of this: the last bits of a sum of floating-point noise tell of what it was added to (Mironov 2012).
const GRID: f64 = 1.0 / 1024.0;

/// What noise on numbers hides nothing of.
const NOT_COVERED: &str = "Which domains the client has is told as it is";

/// How much noise each number gets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Noise {
    /// `gaussian:SIGMA`: normal, of this standard deviation.
    Gaussian {
        /// Above 0.
        sigma: f64,
    },
    /// `laplace:EPSILON`: Laplace, of the scale that makes the whole document epsilon-differentially private.
    Laplace {
        /// Above 0.
        epsilon: f64,
    },
}

/// How far one private image more or less moves the numbers of a client's document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sensitivity {
    /// The sum of the changes.
    pub l1: f64,
    /// The root of the sum of their squares.
    pub l2: f64,
}

impl Sensitivity {
    /// Of scores of `models` task models: each counts the image once among all and at most once among the right ones.
    pub fn of_scores(models: usize) -> Self {
        let numbers = 2.0 * models as f64;
        Self {
            l1: numbers,
            l2: numbers.sqrt(),
        }
    }

    /// Of votes for `neighbours` synthetic images with weights 1, 1/2, 1/4, ..: all may be of one backend, and then add up to
    /// `2 - 2^(1 - neighbours)` in one number.
    pub fn of_votes(neighbours: usize) -> Self {
        let most = 2.0 - 0.5f64.powf(neighbours as f64 - 1.0);
        Self { l1: most, l2: most }
    }
}

/// What was added to a document, without the seed: who knows it can take the noise off again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoiseRecord {
    /// How much.
    pub noise: Noise,
    /// How far one private image more or less moves the numbers: in L2 for Gaussian noise, in L1 for Laplace noise.
    pub sensitivity: f64,
    /// Standard deviation of what each number got.
    pub deviation: f64,
    /// Numbers that got some.
    pub numbers: u64,
    /// What it promises, as a formula.
    pub promise: String,
}

impl Noise {
    fn validate(self) -> Result<(), String> {
        let (name, value) = match self {
            Self::Gaussian { sigma } => ("sigma", sigma),
            Self::Laplace { epsilon } => ("epsilon", epsilon),
        };
        if value > 0.0 && value.is_finite() {
            return Ok(());
        }
        Err(format!("{name} is {value}; give a number above 0"))
    }

    /// The scale of the Laplace distribution, whose standard deviation is the root of 2 times it.
    fn scale(epsilon: f64, sensitivity: Sensitivity) -> f64 {
        sensitivity.l1 / epsilon
    }

    pub(super) fn record(self, sensitivity: Sensitivity, numbers: u64) -> NoiseRecord {
        let (by, deviation, promise) = match self {
            Self::Gaussian { sigma } => (
                sensitivity.l2,
                sigma,
                format!(
                    "mu-Gaussian differential privacy of one image with mu = L2 sensitivity / sigma = {:.4}; for every epsilon, delta = \
                     Phi(-epsilon/mu + mu/2) - exp(epsilon) Phi(-epsilon/mu - mu/2) (Dong, Roth and Su 2022, corollary 2.13)",
                    sensitivity.l2 / sigma
                ),
            ),
            Self::Laplace { epsilon } => (
                sensitivity.l1,
                std::f64::consts::SQRT_2 * Self::scale(epsilon, sensitivity),
                format!(
                    "epsilon-differential privacy of one image with epsilon = {epsilon}: Laplace noise of scale L1 sensitivity / epsilon = \
                     {:.4} (Dwork et al. 2006, theorem 3.6 of Dwork and Roth 2014)",
                    Self::scale(epsilon, sensitivity)
                ),
            ),
        };
        NoiseRecord {
            noise: self,
            sensitivity: by,
            deviation,
            numbers,
            promise: format!("{promise}. {NOT_COVERED}"),
        }
    }

    /// Adds noise to the numbers, in their order; the same for the same key.
    pub(super) fn add<'a>(
        self,
        sensitivity: Sensitivity,
        key: [u8; 32],
        numbers: impl Iterator<Item = &'a mut f64>,
    ) {
        let mut rng = ChaCha20Rng::from_seed(key);
        for number in numbers {
            let noise: f64 = match self {
                Self::Gaussian { sigma } => {
                    let normal: f64 = StandardNormal.sample(&mut rng);
                    sigma * normal
                }
                Self::Laplace { epsilon } => {
                    let [one, other]: [f64; 2] = [(); 2].map(|()| Exp1.sample(&mut rng));
                    Self::scale(epsilon, sensitivity) * (one - other)
                }
            };
            *number = ((*number + noise) / GRID).round() * GRID;
        }
    }
}

impl fmt::Display for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gaussian { sigma } => write!(f, "gaussian:{sigma}"),
            Self::Laplace { epsilon } => write!(f, "laplace:{epsilon}"),
        }
    }
}

impl FromStr for Noise {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, number) = text.split_once(':').unwrap_or((text, ""));
        let value = || {
            let value = number.parse::<f64>();
            value.map_err(|_| format!("{number:?} in {text:?} is no number"))
        };
        let noise = match name {
            "gaussian" => Self::Gaussian { sigma: value()? },
            "laplace" => Self::Laplace { epsilon: value()? },
            _ => {
                return Err(format!(
                    "unknown noise {text:?}; there are gaussian:SIGMA, laplace:EPSILON"
                ));
            }
        };
        noise.validate()?;
        Ok(noise)
    }
}

impl From<Noise> for String {
    fn from(noise: Noise) -> Self {
        noise.to_string()
    }
}

impl TryFrom<String> for Noise {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// The key of the noise of a document, which tells how much it is to get: of two that differ in anything, under one seed, neither's noise is
/// the other's. Without a seed the operating system draws one.
pub(super) fn key(seed: Option<u64>, document: &[u8]) -> Result<[u8; 32]> {
    let Some(seed) = seed else {
        let mut key = [0; 32];
        OsRng.try_fill_bytes(&mut key).map_err(|error| {
            Error::Fusion(format!(
                "the operating system gave no random numbers for the noise ({error}); give a secret seed"
            ))
        })?;
        return Ok(key);
    };
    let mut hasher = blake3::Hasher::new_derive_key("promptfed synth 2026 feedback noise v1");
    hasher.update(&seed.to_le_bytes());
    hasher.update(document);
    Ok(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(noise: Noise, sensitivity: Sensitivity) -> Vec<f64> {
        let mut numbers = vec![100.0; 20_000];
        noise.add(sensitivity, [7; 32], numbers.iter_mut());
        numbers.iter().map(|n| n - 100.0).collect()
    }

    #[test]
    fn noise_has_the_deviation_that_its_record_tells_and_no_bias() {
        let sensitivity = Sensitivity::of_votes(8);
        for noise in [
            Noise::Gaussian { sigma: 3.0 },
            Noise::Laplace { epsilon: 0.5 },
        ] {
            let told = noise.record(sensitivity, 1).deviation;
            let drawn = drawn(noise, sensitivity);
            let n = drawn.len() as f64;
            let mean = drawn.iter().sum::<f64>() / n;
            let deviation = (drawn.iter().map(|v| v * v).sum::<f64>() / n).sqrt();
            // Five standard errors.
            assert!(mean.abs() < 5.0 * told / n.sqrt(), "{noise} {mean}");
            assert!((deviation / told - 1.0).abs() < 0.05, "{noise} {deviation}");
            assert!(drawn.iter().all(|v| (v / GRID).fract() == 0.0));
        }
        // Of Laplace noise 1/e is beyond one scale, of normal noise 0.32 beyond one deviation.
        let scale = sensitivity.l1 / 0.5;
        let laplace = drawn(Noise::Laplace { epsilon: 0.5 }, sensitivity);
        let beyond = laplace.iter().filter(|v| v.abs() > scale).count() as f64 / 20_000.0;
        assert!((beyond - (-1f64).exp()).abs() < 0.02, "{beyond}");
    }

    #[test]
    fn sensitivities_and_promises_are_those_of_their_formulas() {
        assert_eq!(Sensitivity::of_scores(3).l1, 6.0);
        assert!((Sensitivity::of_scores(2).l2 - 2.0).abs() < 1e-12);
        assert_eq!(Sensitivity::of_votes(1).l1, 1.0);
        assert_eq!(Sensitivity::of_votes(3).l2, 1.75);
        let told = Noise::Gaussian { sigma: 4.0 }.record(Sensitivity::of_scores(2), 9);
        assert!(told.promise.contains("= 0.5000;"), "{told:?}");
        let told = Noise::Laplace { epsilon: 2.0 }.record(Sensitivity::of_scores(2), 9);
        assert!(told.promise.contains("= 2.0000 "), "{told:?}");
        assert_eq!((told.sensitivity, told.numbers), (4.0, 9));
    }

    #[test]
    fn words_round_trip_and_mistakes_are_answered() {
        for text in ["gaussian:2.5", "laplace:0.1"] {
            let noise: Noise = text.parse().unwrap();
            assert_eq!(noise.to_string(), text);
        }
        for (text, told) in [
            ("gaussian", "no number"),
            ("gaussian:0", "above 0"),
            ("laplace:-1", "above 0"),
            ("laplace:inf", "above 0"),
            ("gaussian:NaN", "above 0"),
            ("uniform:1", "there are gaussian:SIGMA"),
        ] {
            let error = text.parse::<Noise>().unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
