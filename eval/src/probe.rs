//! Testing what methods make, off their clocks.

use crate::methods::{Models, Probe};
use crate::predictions::ModelPredictions;
use crate::predictor::Predictor;
use crate::wire::Channel;
use crate::{Error, FederatedClient, Result, TestSet};
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
