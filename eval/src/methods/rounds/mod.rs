//! What methods of many rounds have in common.
//!
//! The clients first tell how many images of each class they have to train on and to validate with. Where these are enough to choose by,
//! each round begins with the clients telling how many of them the new model names rightly, by class, and the model of the best round is
//! the result; otherwise that of the last round is. The learning rate falls by a half cosine over the rounds and is constant inside one. A
//! client that cannot take a step (one image, too small to normalise alone) receives and sends none. All methods begin with the same
//! weights, and their clients see their images in the same order.

mod account;
mod course;
mod plan;
mod task;

pub(super) use account::{idle, mean, unheard};
pub(super) use course::run_from;
pub use plan::RoundPlan;
pub(super) use plan::{Start, falling};
pub use task::LocalTask;

use super::{Card, Method, Probe, Trained, World};
use crate::Result;
use crate::wire::Payload;
use promptfed_learn::{Classifier, EpochStats};

/// A method in which clients train in rounds and a server makes one model of what they send. `local` sees one client, `aggregate` none.
pub trait RoundMethod: Send + Sync {
    /// What the server sends to every client.
    type Down: Payload + Send + Sync;
    /// What a client sends back.
    type Up: Payload + Send;
    /// What the server remembers.
    type Server;
    /// What a client remembers from round to round.
    type Local: Send;

    /// What it is.
    fn card(&self) -> Card;

    /// What beside its card determines its result; nothing of most.
    fn determined_by(&self) -> String {
        String::new()
    }

    /// How many rounds, and how long each.
    fn plan(&self) -> RoundPlan;

    /// The server before the first round.
    ///
    /// # Errors
    /// A model that cannot be copied.
    fn server(&self, initial: &Classifier) -> Result<Self::Server>;

    /// A client before the first round.
    ///
    /// # Errors
    /// A model that cannot be copied.
    fn client(&self, initial: &Classifier) -> Result<Self::Local>;

    /// What the server sends.
    ///
    /// # Errors
    /// A model that cannot be copied.
    fn broadcast(&self, server: &Self::Server) -> Result<Self::Down>;

    /// The model that a client received.
    fn model<'d>(&self, down: &'d Self::Down) -> &'d Classifier;

    /// A client's work of one round, and how its training went.
    ///
    /// # Errors
    /// If training fails.
    fn local(
        &self,
        task: &LocalTask<'_>,
        local: &mut Self::Local,
        down: &Self::Down,
    ) -> Result<(Self::Up, EpochStats)>;

    /// Images that the server trains on after a round, each as often as it does.
    fn server_samples(&self) -> u64 {
        0
    }

    /// What the server makes of what came in a round, counted from 0, each with the client's number of training images; `all` clients
    /// together have so many, those that sent nothing included. Something came.
    ///
    /// # Errors
    /// What does not fit together.
    fn aggregate(
        &self,
        server: &mut Self::Server,
        round: usize,
        ups: Vec<(Self::Up, usize)>,
        all: usize,
    ) -> Result<()>;
}

/// A method of many rounds as one to compare.
pub struct Rounds<M>(pub M);

impl<M: RoundMethod> Method for Rounds<M> {
    fn card(&self) -> Card {
        self.0.card()
    }

    fn determined_by(&self) -> String {
        self.0.determined_by()
    }

    fn run(&self, world: &World<'_>, probe: &mut dyn Probe) -> Result<Trained> {
        run_from(&self.0, world, probe, self.0.plan().start(world)?)
    }
}
