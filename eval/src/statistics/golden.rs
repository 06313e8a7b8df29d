//! What scipy and statsmodels make of the same values.

use serde::Deserialize;

/// Of `golden/statistics.py`.
#[derive(Deserialize)]
pub(super) struct Golden {
    /// Level, degrees of freedom, quantile.
    pub(super) quantiles: Vec<(f64, usize, f64)>,
    pub(super) means: Vec<Mean>,
    pub(super) mcnemar: Vec<Counts>,
    pub(super) sign_flips: Vec<SignFlips>,
    pub(super) holm: Vec<Holm>,
    pub(super) bootstrap: Bootstrap,
}

#[derive(Deserialize)]
pub(super) struct Mean {
    pub(super) values: Vec<f64>,
    pub(super) low: f64,
    pub(super) high: f64,
}

#[derive(Deserialize)]
pub(super) struct Counts {
    pub(super) first: u64,
    pub(super) second: u64,
    pub(super) p: f64,
}

#[derive(Deserialize)]
pub(super) struct SignFlips {
    pub(super) values: Vec<f64>,
    pub(super) p: f64,
}

#[derive(Deserialize)]
pub(super) struct Holm {
    pub(super) p: Vec<f64>,
    pub(super) corrected: Vec<f64>,
}

#[derive(Deserialize)]
pub(super) struct Bootstrap {
    pub(super) values: Vec<f64>,
    pub(super) low: f64,
    pub(super) high: f64,
}

pub(super) fn golden() -> Golden {
    serde_json::from_str(include_str!("../../tests/golden/statistics.json")).unwrap()
}
