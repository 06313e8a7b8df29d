//! How many rounds, how long, at what rate, and what they begin with.

use crate::methods::{Participation, World};
use crate::{FederatedClient, Result, seeds};
use promptfed_learn::{Classifier, Recipe};

/// How many rounds, and how long each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RoundPlan {
    /// Communication rounds, at least 1.
    pub rounds: usize,
    /// Passes over the client's own images in each round, at least 1.
    pub local_epochs: usize,
    /// The peak learning rate of the clients, where it is not the recipe's.
    pub learning_rate: Option<f32>,
    /// Who takes part.
    pub participation: Participation,
}

impl RoundPlan {
    /// What every method of rounds begins with.
    ///
    /// # Errors
    /// If no client can take a step.
    pub(in crate::methods) fn start(&self, world: &World<'_>) -> Result<Start> {
        let seed = seeds::derive(world.seed, "fedavg");
        let mut recipe = world.recipe.with(self.local_epochs, seed);
        if let Some(rate) = self.learning_rate {
            recipe.training.learning_rate = rate;
        }
        let mut initial = recipe.start(world.classes())?;
        initial.set_class_names(&world.federation.class_names)?;
        let able = able(&initial, world.clients(), recipe.training.batch_size)?;
        Ok(Start {
            recipe,
            initial,
            able,
            is_known: false,
        })
    }

    /// In words.
    pub(in crate::methods) fn described(&self) -> String {
        let rate = self
            .learning_rate
            .map(|rate| format!(", learning rate {rate}"));
        format!(
            "{} rounds of {} local epochs{}{}",
            self.rounds,
            self.local_epochs,
            self.participation,
            rate.unwrap_or_default()
        )
    }
}

/// What a method of rounds begins with.
pub(in crate::methods) struct Start {
    /// How clients train in a round.
    pub(in crate::methods) recipe: Recipe,
    /// The weights that all methods begin with.
    pub(in crate::methods) initial: Classifier,
    /// The clients that can take a step.
    pub(in crate::methods) able: Vec<usize>,
    /// Whether the clients have these weights already, so that they need not cross.
    pub(in crate::methods) is_known: bool,
}

/// The learning rate of a round: from the peak by a half cosine.
pub(in crate::methods) fn falling(peak: f32, round: usize, rounds: usize) -> f32 {
    let progress = round as f32 / rounds as f32;
    peak * 0.5 * (1.0 + (std::f32::consts::PI * progress).cos())
}

/// The clients whose images fill a batch that can be normalised.
///
/// # Errors
/// If there is none.
fn able(model: &Classifier, clients: &[FederatedClient], batch: usize) -> Result<Vec<usize>> {
    let fits = |client: &FederatedClient| model.check_batch(batch.min(client.train.len()));
    let able: Vec<usize> = (0..clients.len())
        .filter(|&index| fits(&clients[index]).is_ok())
        .collect();
    if able.is_empty() {
        clients.iter().try_for_each(fits)?;
    }
    Ok(able)
}
