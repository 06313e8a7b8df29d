//! A client's training of one round, by whatever objective.

use super::LocalTask;
use crate::wire::payload::Model;
use crate::{Error, Result};
use promptfed_learn::objective::Classes;
use promptfed_learn::{Classifier, EpochStats, Objective, Training};

/// What every client minimises, whatever else its method adds.
pub(super) fn classes(task: &LocalTask<'_>) -> Classes {
    Classes {
        label_smoothing: task.config.label_smoothing,
    }
}

/// Trains a copy of what was received.
pub(super) fn train(
    task: &LocalTask<'_>,
    received: &Classifier,
    objective: &mut dyn Objective,
) -> Result<(Classifier, EpochStats)> {
    let mut model = received.clone();
    let training = Training {
        objective: Some(objective),
        cancel: Some(task.cancel),
        ..Training::on(task.images)
    };
    let report = training.run(&mut model, &task.config, &mut |_| {})?;
    let last = report.curve.last().copied().ok_or(Error::NoRounds)?;
    Ok((model, last))
}

/// The mean of clients' models, each by its number of images, in place of `model`'s weights.
pub(super) fn average_into(
    model: &mut Classifier,
    clients: impl IntoIterator<Item = (Model, usize)>,
) -> Result<()> {
    let weights = clients
        .into_iter()
        .map(|(Model(model), size)| Ok((model.weights()?, size)))
        .collect::<Result<Vec<_>>>()?;
    Ok(model.load_weights(&promptfed_learn::federated::average(&weights)?)?)
}
