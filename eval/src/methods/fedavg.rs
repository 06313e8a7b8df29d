//! Federated averaging on the clients' real images.

use super::{Method, Outcome, RunContext};
use crate::comparison::MethodRun;
use crate::{Error, FederatedClient, Result, seeds};
use promptfed_learn::{
    Classifier, EpochStats, Schedule, TrainConfig, Weights, evaluate, federated, train,
};
use promptfed_prompts::ContentHash;
use promptfed_prompts::ledger::{Direction, Ledger, PayloadKind};
use rayon::prelude::*;
use std::time::Instant;

/// McMahan et al. 2017, Algorithm 1, with every client in every round.
///
/// Updates are weighted by client size; local training augments live, as every other method does. The learning rate falls
/// by a half cosine over the rounds and is constant inside one. Each round begins with the clients testing the new
/// model on their validation images; the model of the best round is the result. Models travel as safetensors files in f32,
/// and their real lengths are what the ledger holds.
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
        let mut global =
            Classifier::new(context.classifier, seeds::derive(context.seed, "fedavg"))?;
        global.set_class_names(&context.federation.test.class_names)?;
        let mut best: Option<(f64, usize, Vec<u8>)> = None;
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
                let accuracy = validate(&broadcast, clients)?;
                for client in clients {
                    // Correct and total validation images, as two u32.
                    ledger.record(&client.name, Direction::Up, PayloadKind::Control, 8);
                }
                stats.validation_accuracy = accuracy.map(|a| a as f32);
                if let Some(accuracy) = accuracy {
                    task.remark(&format!("validation accuracy {:.1} %", 100.0 * accuracy));
                }
                // Without validation images the last model is kept.
                let score = accuracy.unwrap_or(round as f64);
                if best.as_ref().is_none_or(|(most, ..)| score > *most) {
                    best = Some((score, round - 1, broadcast.clone()));
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
            let learning_rate = self.learning_rate(context.training.learning_rate, round);
            let updates = clients
                .par_iter()
                .enumerate()
                .map(|(index, client)| {
                    let config = TrainConfig {
                        epochs: self.local_epochs,
                        learning_rate,
                        schedule: Schedule::Constant,
                        seed: seeds::derive(context.seed, &format!("fedavg {round} {index}")),
                        ..context.training.clone()
                    };
                    local_update(&broadcast, client, &config)
                })
                .collect::<Result<Vec<_>>>()?;
            for (client, update) in clients.iter().zip(&updates) {
                let bytes = update.file.len() as u64;
                ledger.record(&client.name, Direction::Up, PayloadKind::Model, bytes);
            }
            global.load_weights(&aggregate(&updates)?)?;
            curve.push(round_stats(round, learning_rate, &updates));
            task.set(round as u64 + 1);
        }
        drop(task);
        let (_, selected, file) = best.ok_or(Error::NoRounds)?;
        let seconds = start.elapsed().as_secs_f64() - testing;
        let evaluation = evaluate(
            &Classifier::from_safetensors(&file)?,
            &context.federation.test,
        )?;
        Ok(Outcome::of(MethodRun {
            seed: context.seed,
            evaluation,
            ledger,
            seconds,
            curve,
            accuracy_by_bytes,
            model_hash: Some(ContentHash::of(&file)),
            selected: Some(selected),
        }))
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
    }
}

/// Accuracy of a model over all clients' validation images, if there are any.
fn validate(file: &[u8], clients: &[FederatedClient]) -> Result<Option<f64>> {
    let model = Classifier::from_safetensors(file)?;
    let (mut correct, mut total) = (0.0, 0);
    for client in clients.iter().filter(|c| !c.validation.is_empty()) {
        correct += evaluate(&model, &client.validation)?.accuracy * client.validation.len() as f64;
        total += client.validation.len();
    }
    Ok((total > 0).then(|| correct / total as f64))
}
