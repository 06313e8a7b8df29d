//! Testing what methods make, off their clocks.

use crate::methods::{Models, Probe};
use crate::predictor::Predictor;
use crate::wire::Channel;
use crate::{Error, Result, TestSet};
use promptfed_learn::Evaluation;
use std::time::{Duration, Instant};

/// Tests models on images that no method sees, and takes down what had crossed by then.
pub(crate) struct TestProbe<'a> {
    test: &'a TestSet,
    channel: &'a Channel,
    /// Test accuracy after so many bytes, both ways.
    pub(crate) accuracy_by_bytes: Vec<(u64, f64)>,
    /// The time that testing took.
    pub(crate) testing: Duration,
}

impl<'a> TestProbe<'a> {
    pub(crate) fn new(test: &'a TestSet, channel: &'a Channel) -> Self {
        Self {
            test,
            channel,
            accuracy_by_bytes: Vec::new(),
            testing: Duration::ZERO,
        }
    }
}

impl Probe for TestProbe<'_> {
    fn checkpoint(&mut self, _: usize, models: &[&dyn Predictor]) -> Result<()> {
        let start = Instant::now();
        let accuracy = evaluate(models, self.test)?.accuracy;
        let bytes = self.channel.total();
        self.accuracy_by_bytes.push((bytes, accuracy));
        self.testing += start.elapsed();
        Ok(())
    }
}

/// How a run's models name the test images.
pub(crate) fn evaluate_all(models: &Models, test: &TestSet) -> Result<Evaluation> {
    match models {
        Models::Global(model) => evaluate(&[model.as_ref()], test),
        Models::PerClient(models) => {
            let models: Vec<&dyn Predictor> = models.iter().map(AsRef::as_ref).collect();
            evaluate(&models, test)
        }
    }
}

/// Of several models, the mean of each measure, and the counts of all together.
fn evaluate(models: &[&dyn Predictor], test: &TestSet) -> Result<Evaluation> {
    let of = |model: &&dyn Predictor| -> Result<Evaluation> {
        let probabilities = model.probabilities(&test.images)?;
        Ok(Evaluation::of_probabilities(&probabilities, &test.images)?)
    };
    let each = models.iter().map(of).collect::<Result<Vec<_>>>()?;
    Evaluation::mean(&each).ok_or(Error::NoRounds)
}
