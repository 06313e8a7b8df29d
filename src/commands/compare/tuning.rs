//! `--tune`: learning rates that are tried for every method.

use super::Shared;
use super::measured::interrupted;
use super::setting::SettingArgs;
use crate::Context;
use anyhow::Result;
use promptfed_eval::Experiment;
use promptfed_eval::Tuned;
use promptfed_eval::journal::Journal;
use promptfed_eval::methods::Method;
use std::str::FromStr;
use std::sync::atomic::AtomicBool;

/// Most rates: each is a run of every method.
const MOST: usize = 20;

/// Peak learning rates, from the lowest.
#[derive(Clone)]
pub(crate) struct Rates(Vec<f32>);

/// `lr=0.01,0.03,0.1`
impl FromStr for Rates {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let told = || {
            format!(
                "{text:?}: give two learning rates or more, at most {MOST}, each above 0 and once, as lr=0.01,0.03,0.1"
            )
        };
        let values = text.strip_prefix("lr=").ok_or_else(told)?;
        let rate = |value: &str| {
            let rate: Option<f32> = value.trim().parse().ok();
            rate.filter(|rate| rate.is_finite() && *rate > 0.0)
        };
        let rates: Option<Vec<f32>> = values.split(',').map(rate).collect();
        let mut rates = rates.ok_or_else(told)?;
        rates.sort_by(f32::total_cmp);
        let is_twice = rates.windows(2).any(|pair| pair[0] == pair[1]);
        if is_twice || !(2..=MOST).contains(&rates.len()) {
            return Err(told());
        }
        Ok(Self(rates))
    }
}

/// The rate of every method that takes one; none where none are tried.
pub(super) fn tune(
    experiment: &Experiment,
    setting: &SettingArgs,
    methods: &[Box<dyn Method>],
    journal: &Journal,
    shared: &Shared,
    cancel: &AtomicBool,
    context: &Context,
) -> Result<Vec<Tuned>> {
    let Some(Rates(rates)) = &setting.tune else {
        return Ok(Vec::new());
    };
    // Methods stand in the order of --methods.
    let named = setting.methods.iter().zip(methods);
    let taking = named.filter(|(spec, _)| spec.takes_rate());
    let taking: Vec<&dyn Method> = taking.map(|(_, method)| method.as_ref()).collect();
    let progress = &context.progress;
    let tuned = experiment.tune(&taking, rates, journal, progress, cancel, &shared.resources);
    tuned.map_err(interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_from_the_lowest() {
        let rates: Rates = "lr=0.1,0.01, 0.03".parse().unwrap();
        assert_eq!(rates.0, [0.01, 0.03, 0.1]);
        for wrong in [
            "0.1,0.2",
            "lr=0.1",
            "lr=0.1,0.1",
            "lr=0,0.1",
            "lr=0.1,nan",
            "lr=",
            "lr=0.1,",
        ] {
            let told = wrong.parse::<Rates>().err().unwrap();
            assert!(told.contains("lr=0.01,0.03,0.1"), "{told}");
        }
    }
}
