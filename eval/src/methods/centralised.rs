//! All private images in one place: what federation gives up, and what privacy forbids.

use super::{Method, Outcome, RunContext};
use crate::comparison::MethodRun;
use crate::{Result, seeds};
use promptfed_data::{DecodeOptions, read_encoded};
use promptfed_learn::evaluate;
use promptfed_prompts::ContentHash;
use promptfed_prompts::ledger::{Direction, Ledger, PayloadKind};
use std::time::Instant;

/// Training on the clients' pooled real images.
#[derive(Debug, Clone, Copy)]
pub struct Centralised {
    /// Passes over all training images, at least 1.
    pub epochs: usize,
}

impl Method for Centralised {
    fn name(&self) -> &'static str {
        "centralised"
    }

    fn description(&self) -> String {
        format!(
            "shares every private image; trains on all of them for {} epochs",
            self.epochs
        )
    }

    fn run(&self, context: &RunContext<'_>) -> Result<Outcome> {
        let start = Instant::now();
        let federation = context.federation;
        let mut ledger = Ledger::new();
        for client in &federation.clients {
            let mut bytes = 0;
            read_encoded(&client.private, &DecodeOptions::default(), |_, picture| {
                bytes += picture.len() as u64;
            })?;
            ledger.record(&client.name, Direction::Up, PayloadKind::Images, bytes);
        }
        let images = federation.pooled()?;
        let seed = seeds::derive(context.seed, "centralised");
        let recipe = context.recipe.with(self.epochs, seed);
        let mut model = recipe.start(federation.label_space.len())?;
        let task = context
            .observer
            .begin("centralised: training", self.epochs as u64);
        let report = recipe.train(&mut model, &images, &mut |epoch| {
            task.set(epoch.epoch as u64 + 1);
            task.remark(&format!("loss {:.3}", epoch.train_loss));
        })?;
        drop(task);
        let file = model.to_safetensors()?;
        for client in &federation.clients {
            ledger.record(
                &client.name,
                Direction::Down,
                PayloadKind::Model,
                file.len() as u64,
            );
        }
        let seconds = start.elapsed().as_secs_f64();
        let evaluation = evaluate(&model, &federation.test)?;
        let total = ledger.total(Direction::Up) + ledger.total(Direction::Down);
        Ok(Outcome::of(MethodRun {
            seed: context.seed,
            accuracy_by_bytes: vec![(total, evaluation.accuracy)],
            evaluation,
            ledger,
            seconds,
            curve: report.curve,
            model_hash: Some(ContentHash::of(&file)),
            selected: Some(report.selected_epoch),
            selection: Some(report.selection.to_string()),
            synthetic: None,
        }))
    }
}
