//! Rounds of averaging that begin with the model of one-shot generative learning.

use super::local_training::{classes, train};
use super::rounds::{Start, falling, run_from};
use super::{
    Averaged, Card, FedAvg, Fgl, LocalTask, Method, Models, Probe, RoundMethod, RoundPlan, Trained,
    World,
};
use crate::wire::payload::Model;
use crate::{Error, Result, seeds};
use promptfed_data::LabelledImages;
use promptfed_learn::{Classifier, EpochStats, Recipe};

/// Zhang, Qi and Zhao 2023 (arXiv 2306.16064), the variant of several rounds (five in the paper): federated averaging on the clients' images
/// that begins with the model which the server trained on synthetic images. With server epochs, the server trains the mean of each round on the
/// synthetic images again, as the authors' code offers (5 epochs there), at the round's learning rate.
///
/// The clients have the first model from the one shot; it does not cross again.
///
/// Real and synthetic images are in no batch together. What the passes at the server leave behind of their images beside the weights are the running
/// statistics of normalisations, by which models name images: [`Self::statistics`] says whose are kept.
pub struct FglRounds {
    /// How the first model is made.
    pub one_shot: Fgl,
    /// How many rounds follow, and how long each.
    pub plan: RoundPlan,
    /// Passes over the synthetic images after each round; 0 is none.
    pub server_epochs: usize,
    /// Whose running statistics the model has after them.
    pub statistics: Statistics,
}

/// Whose images' running statistics a model has after the server's passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistics {
    /// Those of the synthetic images, as training leaves them.
    Server,
    /// Those of the clients' images, as averaged before.
    Clients,
}

impl Method for FglRounds {
    fn card(&self) -> Card {
        let server = match self.server_epochs {
            0 => String::new(),
            epochs => {
                let whose = match self.statistics {
                    Statistics::Server => "",
                    Statistics::Clients => ", with the clients' running statistics",
                };
                format!(", {epochs} epochs on the synthetic images after each{whose}")
            }
        };
        Card {
            name: "fgl-rounds".to_owned(),
            description: format!(
                "{}; then shares weights, {}{server}",
                self.one_shot.card().description,
                self.plan.described()
            ),
        }
    }

    fn determined_by(&self) -> String {
        self.one_shot.determined_by()
    }

    fn works_elsewhere(&self) -> bool {
        self.one_shot.works_elsewhere()
    }

    fn run(&self, world: &World<'_>, probe: &mut dyn Probe) -> Result<Trained> {
        let first = self.one_shot.run(world, probe)?;
        let Models::Global(model) = &first.models else {
            return Err(Error::NoRounds);
        };
        probe.checkpoint(0, &[model.as_ref()])?;
        let file = model.file()?.ok_or(Error::NoRounds)?;
        let start = self.plan.start(world)?;
        let start = Start {
            initial: Classifier::from_safetensors(&file)?,
            is_known: true,
            ..start
        };
        let images = match (&first.synthetic, self.server_epochs) {
            (Some(images), 1..) => Some(images.load(world.recipe.image_size)?),
            _ => None,
        };
        let rounds = Rehearsing {
            averaging: Averaged(FedAvg { plan: self.plan }),
            rehearsal: images.map(|images| Rehearsal {
                images,
                recipe: start.recipe.clone(),
                epochs: self.server_epochs,
                statistics: self.statistics,
            }),
            world,
        };
        let after = run_from(&rounds, world, probe, start)?;
        let mut provenance = first.provenance;
        provenance.extend(after.provenance);
        let mut warnings = first.warnings;
        warnings.extend(after.warnings);
        Ok(Trained {
            provenance,
            counts: first.counts,
            prompts: first.prompts,
            synthetic: first.synthetic,
            warnings,
            ..after
        })
    }
}

/// What the server trains on between rounds.
struct Rehearsal {
    images: LabelledImages,
    recipe: Recipe,
    epochs: usize,
    statistics: Statistics,
}

/// Federated averaging whose server trains the mean on images of its own.
struct Rehearsing<'a> {
    averaging: Averaged<FedAvg>,
    rehearsal: Option<Rehearsal>,
    world: &'a World<'a>,
}

impl RoundMethod for Rehearsing<'_> {
    type Down = Model;
    type Up = Model;
    type Server = Classifier;
    type Local = ();

    fn card(&self) -> Card {
        Card {
            name: "fgl-rounds".to_owned(),
            ..self.averaging.card()
        }
    }

    fn plan(&self) -> RoundPlan {
        self.averaging.plan()
    }

    fn server(&self, initial: &Classifier) -> Result<Classifier> {
        self.averaging.server(initial)
    }

    fn client(&self, initial: &Classifier) -> Result<()> {
        self.averaging.client(initial)
    }

    fn broadcast(&self, server: &Classifier) -> Result<Model> {
        self.averaging.broadcast(server)
    }

    fn model<'d>(&self, down: &'d Model) -> &'d Classifier {
        self.averaging.model(down)
    }

    fn local(
        &self,
        task: &LocalTask<'_>,
        local: &mut (),
        down: &Model,
    ) -> Result<(Model, EpochStats)> {
        self.averaging.local(task, local, down)
    }

    fn server_samples(&self) -> u64 {
        let rehearsal = self.rehearsal.as_ref();
        rehearsal.map_or(0, |r| (r.images.len() * r.epochs) as u64)
    }

    fn aggregate(
        &self,
        server: &mut Classifier,
        round: usize,
        ups: Vec<(Model, usize)>,
        all: usize,
    ) -> Result<()> {
        self.averaging.aggregate(server, round, ups, all)?;
        if let Some(rehearsal) = &self.rehearsal {
            let seed = seeds::derive(self.world.seed, &format!("fgl server {round}"));
            let recipe = rehearsal.recipe.with(rehearsal.epochs, seed);
            let rate = falling(recipe.training.learning_rate, round, self.plan().rounds);
            let (images, training) = (&rehearsal.images, &recipe.training);
            let task = LocalTask::new(self.world, images, training, rate, seed);
            let (mut trained, _) = train(&task, server, &mut classes(&task))?;
            if rehearsal.statistics == Statistics::Clients {
                take_statistics(&mut trained, server)?;
            }
            *server = trained;
        }
        Ok(())
    }
}

/// Gives a model the running statistics of another of the same shape.
fn take_statistics(model: &mut Classifier, of: &Classifier) -> Result<()> {
    let mut weights = model.weights()?;
    let statistics = of.weights()?.into_iter();
    weights.extend(statistics.filter(|(name, _)| !of.is_trained(name)));
    Ok(model.load_weights(&weights)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_change_and_weights_stay() {
        let recipe = Recipe {
            image_size: 16,
            width: 4,
            ..Recipe::default()
        };
        let model = |seed| recipe.with(1, seed).start(3).unwrap();
        let (mut one, mut other) = (model(1), model(2));
        let mut moved = other.weights().unwrap();
        for (name, tensor) in &mut moved {
            if !other.is_trained(name) {
                tensor.values.iter_mut().for_each(|value| *value += 1.5);
            }
        }
        other.load_weights(&moved).unwrap();
        let before = one.weights().unwrap();
        take_statistics(&mut one, &other).unwrap();
        let mut kinds = [0, 0];
        for (name, tensor) in one.weights().unwrap() {
            let is_trained = one.is_trained(&name);
            let expected = if is_trained { &before } else { &moved };
            assert_eq!(&tensor, &expected[&name], "{name}");
            kinds[usize::from(is_trained)] += 1;
        }
        assert!(kinds[0] > 0 && kinds[1] > 0, "{kinds:?}");
    }
}
