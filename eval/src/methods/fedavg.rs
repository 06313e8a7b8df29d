//! Federated averaging on the clients' real images.

use super::{Method, Outcome, RunContext};
use crate::comparison::MethodRun;
use crate::{Error, FederatedClient, Result, seeds};
use promptfed_learn::{
    Choice, Classifier, EpochStats, Schedule, Tally, TrainConfig, Weights, evaluate, federated,
    train,
};
use promptfed_prompts::ContentHash;
use promptfed_prompts::ledger::{Direction, Ledger, PayloadKind};
use rayon::prelude::*;
use std::time::Instant;

/// McMahan et al. 2017, Algorithm 1, with every client in every round.
///
/// Updates are weighted by client size; local training augments live, as every other method does. The learning rate falls
/// by a half cosine over the rounds and is constant inside one. The clients first tell how many images of each class they have
/// to train on and to validate with. Where these are enough to choose by, each round begins with the clients telling how many
/// of them the new model names rightly, by class, and the model of the best round is the result; otherwise that of the last
/// round is. Models travel as safetensors files in f32, and their real lengths are what the ledger holds. A client that cannot
/// take a step (one image, too small to normalise alone) receives models and sends none.
#[derive(Debug, Clone, Copy)]
pub struct FedAvg {
    /// Communication rounds, at least 1.
    pub rounds: usize,
    /// Passes over the client's own images in each round, at least 1.
    pub local_epochs: usize,
}

/// What a client sends back after a round.
struct Update {
    file: Vec<u8>,
    size: usize,
    loss: f32,
    train_accuracy: f32,
}

impl Method for FedAvg {
    fn name(&self) -> &'static str {
        "fedavg"
    }

    fn description(&self) -> String {
        format!(
            "shares weights, {} rounds of {} local epochs; trains on real images where they are",
            self.rounds, self.local_epochs
        )
    }

    fn run(&self, context: &RunContext<'_>) -> Result<Outcome> {
        let start = Instant::now();
        let clients = &context.federation.clients;
        let mut ledger = Ledger::new();
        let recipe = context
            .recipe
            .with(self.local_epochs, seeds::derive(context.seed, "fedavg"));
        let classes = context.federation.label_space.len();
        let mut global = recipe.start(classes)?;
        global.set_class_names(&context.federation.test.class_names)?;
        for client in clients {
            // Images to train on and to validate with, two u32 for each class.
            let bytes = 8 * classes as u64;
            ledger.record(&client.name, Direction::Up, PayloadKind::Control, bytes);
        }
        let able = able(&global, clients, recipe.training.batch_size)?;
        let mut choice = Choice::new(context.federation.selection.clone());
        let by_validation = choice.selection().is_by_validation();
        let mut kept: Option<(usize, Vec<u8>)> = None;
        let mut curve: Vec<EpochStats> = Vec::with_capacity(self.rounds);
        let mut accuracy_by_bytes = Vec::with_capacity(self.rounds);
        let mut testing = 0.0;
        let task = context.observer.begin("fedavg: rounds", self.rounds as u64);
        for round in 0..=self.rounds {
            let broadcast = global.to_safetensors()?;
            for client in clients {
                let bytes = broadcast.len() as u64;
                ledger.record(&client.name, Direction::Down, PayloadKind::Model, bytes);
            }
            if let Some(stats) = round.checked_sub(1).and_then(|last| curve.get_mut(last)) {
                let tally = by_validation.then(|| validate(&broadcast, clients));
                let tally = tally.transpose()?;
                if let Some(tally) = &tally {
                    for client in clients {
                        // Rightly named validation images, one u32 for each class.
                        let bytes = 4 * classes as u64;
                        ledger.record(&client.name, Direction::Up, PayloadKind::Control, bytes);
                    }
                    stats.validated(tally);
                    let accuracy = 100.0 * tally.balanced_accuracy();
                    task.remark(&format!("validation accuracy by class {accuracy:.1} %"));
                }
                if choice.takes(tally.as_ref()) {
                    kept = Some((round - 1, broadcast.clone()));
                }
                let test_start = Instant::now();
                let tested = evaluate(&global, &context.federation.test)?.accuracy;
                testing += test_start.elapsed().as_secs_f64();
                let total = ledger.total(Direction::Up) + ledger.total(Direction::Down);
                accuracy_by_bytes.push((total, tested));
            }
            if round == self.rounds {
                break;
            }
            let learning_rate = self.learning_rate(recipe.training.learning_rate, round);
            let updates = able
                .par_iter()
                .map(|&index| {
                    let config = TrainConfig {
                        epochs: self.local_epochs,
                        learning_rate,
                        schedule: Schedule::Constant,
                        seed: seeds::derive(context.seed, &format!("fedavg {round} {index}")),
                        ..recipe.training.clone()
                    };
                    local_update(&broadcast, &clients[index], &config)
                })
                .collect::<Result<Vec<_>>>()?;
            for (&index, update) in able.iter().zip(&updates) {
                let bytes = update.file.len() as u64;
                ledger.record(
                    &clients[index].name,
                    Direction::Up,
                    PayloadKind::Model,
                    bytes,
                );
            }
            global.load_weights(&aggregate(&updates)?)?;
            curve.push(round_stats(round, learning_rate, &updates));
            task.set(round as u64 + 1);
        }
        drop(task);
        let (selected, file) = kept.ok_or(Error::NoRounds)?;
        let seconds = start.elapsed().as_secs_f64() - testing;
        let evaluation = evaluate(
            &Classifier::from_safetensors(&file)?,
            &context.federation.test,
        )?;
        let outcome = Outcome::of(MethodRun {
            seed: context.seed,
            evaluation,
            ledger,
            seconds,
            curve,
            accuracy_by_bytes,
            model_hash: Some(ContentHash::of(&file)),
            selected: Some(selected),
            selection: Some(choice.selection().to_string()),
            synthetic: None,
        });
        let idle = (0..clients.len()).filter(|index| !able.contains(index));
        let idle: Vec<&str> = idle.map(|index| clients[index].name.as_str()).collect();
        let told = ("clients without a step".to_owned(), idle.join(", "));
        Ok(Outcome {
            provenance: if idle.is_empty() {
                Vec::new()
            } else {
                vec![told]
            },
            ..outcome
        })
    }
}

impl FedAvg {
    fn learning_rate(&self, peak: f32, round: usize) -> f32 {
        let progress = round as f32 / self.rounds as f32;
        peak * 0.5 * (1.0 + (std::f32::consts::PI * progress).cos())
    }
}

fn local_update(
    broadcast: &[u8],
    client: &FederatedClient,
    config: &TrainConfig,
) -> Result<Update> {
    let mut model = Classifier::from_safetensors(broadcast)?;
    let report = train(&mut model, &client.train, None, config, &mut |_| {})?;
    let last = report.curve.last().ok_or(Error::NoRounds)?;
    Ok(Update {
        file: model.to_safetensors()?,
        size: client.train.len(),
        loss: last.train_loss,
        train_accuracy: last.train_accuracy,
    })
}

fn aggregate(updates: &[Update]) -> Result<Weights> {
    let models = updates
        .iter()
        .map(|u| Ok((Classifier::from_safetensors(&u.file)?.weights()?, u.size)))
        .collect::<Result<Vec<_>>>()?;
    Ok(federated::average(&models)?)
}

fn round_stats(round: usize, learning_rate: f32, updates: &[Update]) -> EpochStats {
    let total: usize = updates.iter().map(|u| u.size).sum();
    let mean = |value: fn(&Update) -> f32| {
        updates
            .iter()
            .map(|u| value(u) * u.size as f32)
            .sum::<f32>()
            / total as f32
    };
    EpochStats {
        epoch: round,
        learning_rate,
        train_loss: mean(|u| u.loss),
        train_accuracy: mean(|u| u.train_accuracy),
        validation_accuracy: None,
        validation_balanced_accuracy: None,
    }
}

/// What a model makes of all clients' validation images, by class.
fn validate(file: &[u8], clients: &[FederatedClient]) -> Result<Tally> {
    let model = Classifier::from_safetensors(file)?;
    let mut sum = Tally::default();
    for client in clients.iter().filter(|c| !c.validation.is_empty()) {
        sum.add(&evaluate(&model, &client.validation)?.tally());
    }
    Ok(sum)
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
