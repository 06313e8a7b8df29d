//! Clients with models of their own that share the mean features of their classes.

use super::local_training::{classes, train};
use super::per_client::OwnModels;
use super::rounds::{Start, falling, unheard};
use super::trained_prototypes::TrainedPrototypes;
use super::{Card, LocalTask, Method, Probe, RoundPlan, Trained, World};
use crate::predictor::Predictor;
use crate::simulation::SimulatedRound;
use crate::wire::payload::Prototypes;
use crate::{Result, seeds};
use promptfed_data::LabelledImages;
use promptfed_learn::{Classifier, EpochStats, objective};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Tan et al. 2022, "FedProto: Federated Prototype Learning across Heterogeneous Clients", algorithm 1: a
/// client trains its own model to keep the features of a class near the global prototype, and sends the mean features of its classes. An
/// image has the class of the nearest global prototype (section 4, "Local model update"); what is reported is the mean over the clients'
/// models. There is no global model, and the last round's are kept. Of a client that takes no part in a round, what it sent last counts. A client that cannot take a step has the model it began with.
#[derive(Debug, Clone, Copy)]
pub struct FedProto {
    /// How many rounds, and how long each.
    pub plan: RoundPlan,
    /// Weight of the distance to prototypes, 0 or above.
    pub lambda: f32,
    /// Whether the server trains the prototypes to stand apart, as FedTGP's does, in place of taking the clients' means.
    pub trains_prototypes: bool,
}

/// FedTGP's server: passes, rate and largest margin. The margin is the paper's.
const SERVER: TrainedPrototypes = TrainedPrototypes {
    epochs: 100,
    learning_rate: 0.05,
    max_margin: 100.0,
};

impl Method for FedProto {
    fn card(&self) -> Card {
        Card {
            name: if self.trains_prototypes {
                "fedtgp".to_owned()
            } else {
                "fedproto".to_owned()
            },
            description: format!(
                "shares mean features of classes, {}, lambda = {}; clients keep their own models, and the mean over clients is told",
                self.plan.described(),
                self.lambda
            ),
        }
    }

    fn run(&self, world: &World<'_>, probe: &mut dyn Probe) -> Result<Trained> {
        let clients = world.clients();
        let Start {
            recipe,
            initial,
            able,
            ..
        } = self.plan.start(world)?;
        let mut models: Vec<Classifier> = able.iter().map(|_| initial.clone()).collect();
        let mut global = Prototypes::default();
        // What each of the able has received last: a round that it takes no part in sends it none.
        let mut held = vec![Prototypes::default(); able.len()];
        // What each client sent last.
        let mut sent: BTreeMap<usize, Prototypes> = BTreeMap::new();
        let mut curve = Vec::new();
        let name = self.card().name;
        let task = world
            .observer
            .begin(&format!("{name}: rounds"), self.plan.rounds as u64);
        for round in 0..=self.plan.rounds {
            let simulated = SimulatedRound::begin(world);
            let attendance = self.plan.participation.draw(world.seed, round, &able);
            // The last are everybody's.
            let is_for_all = round == self.plan.rounds;
            let receives = |index: usize| is_for_all || attendance.receives(index);
            let names = clients.iter().enumerate();
            let names = names.filter(|(index, _)| receives(*index));
            let names = names.map(|(_, client)| client.name.as_str());
            let received = world.channel.down(names, &global)?;
            simulated.received();
            for (index, held) in able.iter().zip(&mut held) {
                if receives(*index) {
                    held.clone_from(&received);
                }
            }
            if let Some(last) = round.checked_sub(1) {
                let own = models.iter().zip(&held).map(|(model, held)| Nearest {
                    model: model.clone(),
                    global: held.clone(),
                });
                let own: Vec<Nearest> = own.collect();
                let own: Vec<&dyn Predictor> = own.iter().map(|n| n as &dyn Predictor).collect();
                probe.checkpoint(last, &own)?;
            }
            if is_for_all {
                global = received;
                break;
            }
            let rate = falling(recipe.training.learning_rate, round, self.plan.rounds);
            let work = |(&index, model): (&usize, &mut Classifier)| {
                let seed = seeds::derive(world.seed, &format!("fedavg {round} {index}"));
                let client = &clients[index];
                let task = LocalTask::new(world, &client.train, &recipe.training, rate, seed);
                self.local(&task, model, &received, world.classes())
            };
            let taking = able.par_iter().zip(models.par_iter_mut());
            let taking = taking.filter(|(index, _)| attendance.answers(**index));
            let done = taking.map(|(index, model)| Ok((*index, work((index, model))?)));
            let done = done.collect::<Result<Vec<(usize, (Prototypes, EpochStats))>>>()?;
            let mut stats = Vec::with_capacity(done.len());
            let mut worked = Vec::with_capacity(done.len());
            for (index, (prototypes, of_client)) in done {
                let client = &clients[index];
                let prototypes = world.channel.up(&client.name, &prototypes)?;
                let samples = (client.train.len() * recipe.training.epochs) as u64;
                // What comes too late has crossed, and nobody waits for it.
                if !simulated.is_late(index, samples) {
                    sent.insert(index, prototypes);
                }
                stats.push((of_client, client.train.len()));
                worked.push((index, samples));
            }
            simulated.end(&worked, 0.0);
            let known: Vec<Prototypes> = sent.values().cloned().collect();
            global = mean(&known);
            if self.trains_prototypes {
                global = SERVER.train(&known, global);
            }
            curve.push(super::rounds::mean(round, rate, &stats));
            task.set(round as u64 + 1);
        }
        drop(task);
        let warnings = unheard(&name, !sent.is_empty(), world);
        let own = OwnModels {
            able,
            models,
            initial,
            curve,
        };
        let trained = own.trained(world, |model| {
            let global = global.clone();
            Box::new(Nearest { model, global })
        })?;
        Ok(Trained {
            warnings: warnings.into_iter().collect(),
            ..trained
        })
    }
}

impl FedProto {
    fn local(
        &self,
        task: &LocalTask<'_>,
        model: &mut Classifier,
        Prototypes(global): &Prototypes,
        class_count: usize,
    ) -> Result<(Prototypes, EpochStats)> {
        let prototype = |class| global.get(&(class as u32)).map(|(_, f)| f.clone());
        let mut objective = objective::Prototypes {
            inner: classes(task),
            lambda: self.lambda,
            prototypes: (0..class_count).map(prototype).collect(),
        };
        let (trained, stats) = train(task, model, &mut objective)?;
        *model = trained;
        Ok((of_images(model, task.images)?, stats))
    }
}

/// The mean features of the images of each class, not augmented.
fn of_images(model: &Classifier, images: &LabelledImages) -> Result<Prototypes> {
    let features = model.features(images)?;
    let rows = features.chunks_exact(model.channels());
    Ok(weighted(
        images
            .labels
            .iter()
            .zip(rows)
            .map(|(class, row)| (*class, 1, row)),
    ))
}

/// The clients' prototypes by class, each by its number of images: equation 6 without its further division by the number of clients, which would
/// shrink the mean.
fn mean(clients: &[Prototypes]) -> Prototypes {
    let each = clients.iter().flat_map(|Prototypes(classes)| classes);
    weighted(each.map(|(class, (count, row))| (*class, *count, row.as_slice())))
}

/// The mean features of each class, of rows that stand for so many images each.
fn weighted<'a>(rows: impl Iterator<Item = (u32, u32, &'a [f32])>) -> Prototypes {
    let mut sums: BTreeMap<u32, (u32, Vec<f64>)> = BTreeMap::new();
    for (class, count, row) in rows {
        let fresh = || (0, vec![0.0; row.len()]);
        let (all, sum) = sums.entry(class).or_insert_with(fresh);
        *all += count;
        let more = row.iter().map(|v| f64::from(*v) * f64::from(count));
        sum.iter_mut().zip(more).for_each(|(s, v)| *s += v);
    }
    let mean = |(class, (count, sum)): (u32, (u32, Vec<f64>))| {
        let mean = sum.iter().map(|s| (s / f64::from(count.max(1))) as f32);
        (class, (count, mean.collect()))
    };
    Prototypes(sums.into_iter().map(mean).collect())
}

/// Names the class of the nearest prototype.
struct Nearest {
    model: Classifier,
    global: Prototypes,
}

impl Predictor for Nearest {
    fn probabilities(&self, images: &LabelledImages) -> Result<Vec<f32>> {
        let (width, classes) = (self.model.channels(), self.model.config().classes);
        let features = self.model.features(images)?;
        let mut probabilities = vec![0.0; images.len() * classes];
        let rows = features.chunks_exact(width);
        for (row, probabilities) in rows.zip(probabilities.chunks_exact_mut(classes)) {
            let apart = |prototype: &[f32]| {
                let squares = row.iter().zip(prototype).map(|(a, b)| (a - b) * (a - b));
                squares.sum::<f32>()
            };
            let each = self
                .global
                .0
                .iter()
                .map(|(class, (_, p))| (apart(p), *class));
            let nearest = each.min_by(|a, b| a.0.total_cmp(&b.0));
            if let Some((_, class)) = nearest
                && let Some(value) = probabilities.get_mut(class as usize)
            {
                *value = 1.0;
            }
        }
        Ok(probabilities)
    }

    fn file(&self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_count_by_their_images() {
        let of = |count, value| Prototypes(BTreeMap::from([(1, (count, vec![value, 0.0]))]));
        let Prototypes(mean) = mean(&[of(3, 1.0), of(1, 5.0), Prototypes::default()]);
        assert_eq!(mean, BTreeMap::from([(1, (4, vec![2.0, 0.0]))]));
    }
}
