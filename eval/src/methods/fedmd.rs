//! Clients with models of their own that learn from one another's answers on public images.

use super::local_training::{classes, train};
use super::per_client::OwnModels;
use super::public_images::draw;
use super::rounds::{Start, falling, mean};
use super::{Card, LocalTask, Method, Probe, RoundPlan, Trained, World};
use crate::predictor::Predictor;
use crate::simulation::SimulatedRound;
use crate::wire::payload::Logits;
use crate::{Result, seeds};
use promptfed_learn::objective::Distillation;
use promptfed_learn::{Classifier, EpochStats};
use rayon::prelude::*;

/// Li and Wang 2019, "FedMD: Heterogenous Federated Learning via Model Distillation", algorithm 1: on some
/// public images, drawn anew each round, clients tell what they see; the server takes the mean; each learns to say that in one pass (digest) and
/// goes on with its own images (revisit). A client that cannot take a step has the model it began with. Nobody is told what the public images show, so that the paper's first training on them is left
/// out. What is reported is the mean over the clients' models.
#[derive(Debug, Clone, Copy)]
pub struct FedMd {
    /// How many rounds, and how long each.
    pub plan: RoundPlan,
    /// Public images of a round, at least 1.
    pub public_images: usize,
    /// At which probabilities are softened in learning from them, above 0.
    pub temperature: f32,
}

impl Method for FedMd {
    fn card(&self) -> Card {
        Card {
            name: "fedmd".to_owned(),
            description: format!(
                "shares answers on {} public images, {}; clients keep their own models, and the mean over clients is told",
                self.public_images,
                self.plan.described()
            ),
        }
    }

    /// All of its settings, which the card does not have.
    fn determined_by(&self) -> String {
        format!("{self:?}")
    }

    fn looks_at_public(&self) -> bool {
        true
    }

    fn run(&self, world: &World<'_>, probe: &mut dyn Probe) -> Result<Trained> {
        let clients = world.clients();
        let public = world.public("fedmd")?;
        let Start {
            recipe,
            initial,
            able,
            ..
        } = self.plan.start(world)?;
        let mut models: Vec<Classifier> = able.iter().map(|_| initial.clone()).collect();
        let mut curve = Vec::new();
        let task = world
            .observer
            .begin("fedmd: rounds", self.plan.rounds as u64);
        for round in 0..self.plan.rounds {
            let simulated = SimulatedRound::begin(world);
            let shown = draw(public, self.public_images, world.seed, round);
            let attendance = self.plan.participation.draw(world.seed, round, &able);
            let each = able.par_iter().zip(&models);
            let taking = each.filter(|(index, _)| attendance.answers(**index));
            let told = taking.map(|(index, model)| {
                let probabilities = Classifier::probabilities(model, &shown)?;
                Ok((*index, Logits::of(&probabilities)))
            });
            let told = told.collect::<Result<Vec<(usize, Logits)>>>()?;
            let mut received = Vec::with_capacity(told.len());
            for (index, logits) in &told {
                received.push(world.channel.up(&clients[*index].name, logits)?);
            }
            let names = attendance.names(clients);
            let consensus = world.channel.down(names, &mean_of(&received))?;
            let rate = falling(recipe.training.learning_rate, round, self.plan.rounds);
            let work = |(&index, model): (&usize, &mut Classifier)| {
                let seed = seeds::derive(world.seed, &format!("fedavg {round} {index}"));
                let own =
                    LocalTask::new(world, &clients[index].train, &recipe.training, rate, seed);
                let seed = seeds::derive(world.seed, &format!("fedmd {round} {index}"));
                let digest = LocalTask::new(world, &shown, &recipe.training, rate, seed).once();
                self.local(&digest, &own, model, &consensus)
            };
            let each = able.par_iter().zip(models.par_iter_mut());
            let taking = each.filter(|(index, _)| attendance.answers(**index));
            let done = taking.map(|(index, model)| {
                let size = clients[*index].train.len();
                Ok((work((index, model))?, size))
            });
            let stats = done.collect::<Result<Vec<(EpochStats, usize)>>>()?;
            // The public images once, its own as often as in any round.
            let worked = able.iter().filter(|index| attendance.answers(**index));
            let worked = worked.map(|&index| {
                let own = clients[index].train.len() * recipe.training.epochs;
                (index, (own + shown.len()) as u64)
            });
            simulated.end_of_all(&worked.collect::<Vec<_>>(), 0.0);
            curve.push(mean(round, rate, &stats));
            let own: Vec<&dyn Predictor> = models.iter().map(|m| m as &dyn Predictor).collect();
            probe.checkpoint(round, &own)?;
            task.set(round as u64 + 1);
        }
        drop(task);
        let own = OwnModels {
            able,
            models,
            initial,
            curve,
        };
        own.trained(world, |model| Box::new(model))
    }
}

impl FedMd {
    fn local(
        &self,
        digest: &LocalTask<'_>,
        own: &LocalTask<'_>,
        model: &mut Classifier,
        Logits(consensus): &Logits,
    ) -> Result<EpochStats> {
        let mut objective = Distillation {
            logits: consensus.clone(),
            temperature: self.temperature,
        };
        let (digested, _) = train(digest, model, &mut objective)?;
        let (trained, stats) = train(own, &digested, &mut classes(own))?;
        *model = trained;
        Ok(stats)
    }
}

/// Value by value.
fn mean_of(clients: &[Logits]) -> Logits {
    let length = clients.first().map_or(0, |Logits(values)| values.len());
    let mut sums = vec![0.0; length];
    for Logits(values) in clients {
        sums.iter_mut()
            .zip(values)
            .for_each(|(sum, v)| *sum += f64::from(*v));
    }
    let count = clients.len().max(1) as f64;
    Logits(sums.into_iter().map(|sum| (sum / count) as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::super::Participation;
    use super::*;

    #[test]
    fn another_setting_is_another_cell() {
        let one = FedMd {
            plan: RoundPlan {
                rounds: 3,
                local_epochs: 1,
                learning_rate: None,
                participation: Participation::FULL,
            },
            public_images: 5,
            temperature: 1.0,
        };
        let other = FedMd {
            temperature: 2.0,
            ..one
        };
        assert_eq!(one.card(), other.card());
        assert_ne!(one.determined_by(), other.determined_by());
    }

    #[test]
    fn the_consensus_is_the_mean_of_what_is_told() {
        let told = [Logits(vec![0.0, -2.0]), Logits(vec![-1.0, -4.0])];
        assert_eq!(mean_of(&told), Logits(vec![-0.5, -3.0]));
        assert_eq!(mean_of(&[]), Logits(Vec::new()));
    }
}
