//! All private images in one place: what federation gives up, and what privacy forbids.

use super::{Card, Method, Models, Probe, Trained, World};
use crate::simulation::SimulatedRound;
use crate::wire::payload::Model;
use crate::{Result, seeds};
use promptfed_data::{DecodeOptions, read_encoded};
use promptfed_prompts::ledger::{Direction, PayloadKind};

/// Training on the clients' pooled real images.
#[derive(Debug, Clone, Copy)]
pub struct Centralised {
    /// Passes over all training images, at least 1.
    pub epochs: usize,
}

impl Method for Centralised {
    fn card(&self) -> Card {
        Card {
            name: "centralised".to_owned(),
            description: format!(
                "shares every private image; trains on all of them for {} epochs",
                self.epochs
            ),
        }
    }

    fn run(&self, world: &World<'_>, _: &mut dyn Probe) -> Result<Trained> {
        let simulated = SimulatedRound::begin(world);
        for client in world.clients() {
            let mut bytes = 0;
            read_encoded(&client.private, &DecodeOptions::default(), |_, picture| {
                bytes += picture.len() as u64;
            })?;
            // Decoded where they are: what a server would make of the files' bytes is the same.
            let (up, images) = (Direction::Up, PayloadKind::Images);
            world.channel.raw(&client.name, up, images, bytes);
        }
        let images = world.federation.pooled()?;
        let recipe = world
            .recipe
            .with(self.epochs, seeds::derive(world.seed, "centralised"));
        let mut model = recipe.start(world.classes())?;
        let task = world
            .observer
            .begin("centralised: training", self.epochs as u64);
        let report = recipe.train(&mut model, &images, Some(world.cancel), &mut |epoch| {
            task.set(epoch.epoch as u64);
            task.remark(&format!("loss {:.3}", epoch.train_loss));
        })?;
        drop(task);
        let trained_on = (images.training.len() * self.epochs) as u64;
        simulated.end_of_all(&[], simulated.of_server(0, trained_on));
        let simulated = SimulatedRound::begin(world);
        let names = world.clients().iter().map(|client| client.name.as_str());
        let Model(model) = world.channel.down(names, &Model(model))?;
        simulated.received();
        Ok(Trained {
            curve: report.curve,
            selected: Some(report.selected_epoch),
            selection: Some(report.selection.to_string()),
            ..Trained::of(Models::Global(Box::new(model)))
        })
    }
}
