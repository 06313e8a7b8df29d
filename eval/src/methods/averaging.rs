//! Methods whose clients send models, of which the server takes the mean.

use super::local_training::average_into;
use super::{Card, LocalTask, RoundMethod, RoundPlan};
use crate::Result;
use crate::wire::payload::Model;
use promptfed_learn::{Classifier, EpochStats};

/// What tells one such method from another: how its clients train.
pub trait Averaging: Send + Sync {
    /// What a client remembers from round to round.
    type Local: Send;

    /// What it is.
    fn card(&self) -> Card;

    /// How many rounds, and how long each.
    fn plan(&self) -> RoundPlan;

    /// A client before the first round.
    fn client(&self, initial: &Classifier) -> Self::Local;

    /// The client's model at the end of a round, and how its training went.
    ///
    /// # Errors
    /// If training fails.
    fn train(
        &self,
        task: &LocalTask<'_>,
        local: &mut Self::Local,
        received: &Classifier,
    ) -> Result<(Classifier, EpochStats)>;
}

/// Such a method as one of rounds. Models are weighted by client size.
pub struct Averaged<M>(pub M);

impl<M: Averaging> RoundMethod for Averaged<M> {
    type Down = Model;
    type Up = Model;
    type Server = Classifier;
    type Local = M::Local;

    fn card(&self) -> Card {
        self.0.card()
    }

    fn plan(&self) -> RoundPlan {
        self.0.plan()
    }

    fn server(&self, initial: &Classifier) -> Result<Classifier> {
        Ok(initial.clone())
    }

    fn client(&self, initial: &Classifier) -> Result<M::Local> {
        Ok(self.0.client(initial))
    }

    fn broadcast(&self, server: &Classifier) -> Result<Model> {
        Ok(Model(server.clone()))
    }

    fn model<'d>(&self, Model(model): &'d Model) -> &'d Classifier {
        model
    }

    fn local(
        &self,
        task: &LocalTask<'_>,
        local: &mut M::Local,
        Model(received): &Model,
    ) -> Result<(Model, EpochStats)> {
        let (model, stats) = self.0.train(task, local, received)?;
        Ok((Model(model), stats))
    }

    fn aggregate(
        &self,
        server: &mut Classifier,
        _: usize,
        ups: Vec<(Model, usize)>,
        _: usize,
    ) -> Result<()> {
        average_into(server, ups)
    }
}
