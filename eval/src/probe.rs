//! Testing what methods make, off their clocks.

use crate::methods::{Models, Probe};
use crate::predictions::ModelPredictions;
use crate::predictor::Predictor;
use crate::simulation::SimulatedClock;
use crate::wire::Channel;
use crate::{Error, FederatedClient, Result, TestSet};
use promptfed_learn::Evaluation;
use std::time::{Duration, Instant};

/// Test accuracy after so many bytes, both ways, or simulated seconds.
type Course<At> = Vec<(At, f64)>;

/// Tests models on images that no method sees, and takes down what had crossed by then.
pub(crate) struct TestProbe<'a> {
    test: &'a TestSet,
    channel: &'a Channel,
    simulated: Option<&'a SimulatedClock>,
    accuracy_by_bytes: Course<u64>,
    accuracy_by_seconds: Course<f64>,
    /// The time that testing took.
    pub(crate) testing: Duration,
}

impl<'a> TestProbe<'a> {
    pub(crate) fn new(
        test: &'a TestSet,
        channel: &'a Channel,
        simulated: Option<&'a SimulatedClock>,
    ) -> Self {
        Self {
            test,
            channel,
            simulated,
            accuracy_by_bytes: Vec::new(),
            accuracy_by_seconds: Vec::new(),
            testing: Duration::ZERO,
        }
    }

    /// The run is over: where it showed nothing on the way, what it ends with is all there is.
    pub(crate) fn ends_with(&mut self, accuracy: f64) {
        if self.accuracy_by_bytes.is_empty() {
            self.take_down(accuracy);
        }
    }

    /// Test accuracy after so many bytes, and after so many simulated seconds.
    pub(crate) fn into_courses(self) -> (Course<u64>, Course<f64>) {
        (self.accuracy_by_bytes, self.accuracy_by_seconds)
    }

    fn take_down(&mut self, accuracy: f64) {
        self.accuracy_by_bytes
            .push((self.channel.total(), accuracy));
        // Methods that the clock does not follow stand at its beginning.
        let seconds = self.simulated.map(SimulatedClock::now);
        let seconds = seconds.filter(|seconds| *seconds > 0.0);
        self.accuracy_by_seconds
            .extend(seconds.map(|seconds| (seconds, accuracy)));
    }
}

impl Probe for TestProbe<'_> {
    fn checkpoint(&mut self, _: usize, models: &[&dyn Predictor]) -> Result<()> {
        let start = Instant::now();
        let accuracy = evaluate(models, self.test)?.accuracy;
        self.take_down(accuracy);
        self.testing += start.elapsed();
        Ok(())
    }
}

/// How good a run's models are on the test images, and what each says of them.
pub(crate) fn test_all(
    models: &Models,
    clients: &[FederatedClient],
    test: &TestSet,
) -> Result<(Evaluation, Vec<ModelPredictions>)> {
    let (models, owners): (Vec<&dyn Predictor>, Vec<Option<String>>) = match models {
        Models::Global(model) => (vec![model.as_ref()], vec![None]),
        Models::PerClient(models) => {
            let names = clients.iter().map(|client| Some(client.name.clone()));
            (models.iter().map(AsRef::as_ref).collect(), names.collect())
        }
    };
    let classes = test.images.class_names.len();
    let (mut each, mut said) = (Vec::new(), Vec::new());
    for (model, owner) in models.iter().zip(owners) {
        let probabilities = model.probabilities(&test.images)?;
        each.push(Evaluation::of_probabilities(&probabilities, &test.images)?);
        said.push(ModelPredictions::of(owner, &probabilities, classes));
    }
    Ok((Evaluation::mean(&each).ok_or(Error::NoRounds)?, said))
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
