//! Which training steps a run visits.

use crate::engines::sd::schedule::{SchedulerConfig, Spacing};
use crate::{Error, Result, Sampler};

/// The steps that a run is to visit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visits {
    pub(super) spacing: Spacing,
    pub(super) steps: usize,
    /// T.
    pub(super) train: usize,
    /// Training steps from here on are too noisy; T where none is.
    pub(super) last: usize,
    /// Added with leading spacing.
    pub(super) offset: usize,
    /// Whether one step more is laid out and the cleanest, from which no step starts, is dropped.
    pub(super) drop_cleanest: bool,
}

impl Visits {
    /// Steps over the whole training schedule of `train` steps, spaced as a folder says.
    pub(super) fn of(
        config: &SchedulerConfig,
        sampler: Sampler,
        steps: usize,
        train: usize,
    ) -> Self {
        Self {
            spacing: config.spacing(sampler),
            steps,
            train,
            last: train,
            offset: config.offset(),
            drop_cleanest: false,
        }
    }

    /// The steps from noisy to clean; those of linspace spacing may lie between training steps.
    ///
    /// # Errors
    /// More steps than the schedule has.
    pub(super) fn timesteps(self) -> Result<Vec<f64>> {
        let points = self.steps + usize::from(self.drop_cleanest);
        if self.steps == 0 || points > self.last {
            return Err(Error::Spec(format!(
                "{} steps; the noise schedule allows 1 to {}",
                self.steps,
                self.last.saturating_sub(usize::from(self.drop_cleanest))
            )));
        }
        let ascending = |step: f64| (0..points).rev().map(move |i| i as f64 * step);
        Ok(match self.spacing {
            Spacing::Linspace if points == 1 => vec![0.0],
            Spacing::Linspace => ascending((self.last - 1) as f64 / (points - 1) as f64)
                .take(self.steps)
                .collect(),
            Spacing::Leading => ascending((self.last / points) as f64)
                .map(|t| t + self.offset as f64)
                .take(self.steps)
                .collect(),
            Spacing::Trailing => {
                let ratio = self.train as f64 / self.steps as f64;
                (0..self.steps)
                    .map(|i| (self.last as f64 - i as f64 * ratio).round_ties_even() - 1.0)
                    .filter(|t| *t >= 0.0)
                    .collect()
            }
        })
    }

    /// [`Visits::timesteps`], each rounded.
    pub(super) fn rounded(self) -> Result<Vec<f64>> {
        let timesteps = self.timesteps()?.into_iter();
        Ok(timesteps.map(f64::round_ties_even).collect())
    }

    /// [`Visits::rounded`], all of them training steps.
    pub(super) fn whole(self) -> Result<Vec<usize>> {
        let timesteps = self.rounded()?.into_iter();
        let timesteps: Vec<usize> = timesteps.map(|t| t as usize).collect();
        match timesteps.iter().find(|t| **t >= self.train) {
            None => Ok(timesteps),
            Some(t) => Err(Error::Spec(format!(
                "{} steps with steps_offset {} begin at training step {t} of {}; ask for fewer steps",
                self.steps, self.offset, self.train
            ))),
        }
    }
}
