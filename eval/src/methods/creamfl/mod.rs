//! Clients that share what their networks make of public pairs of images and captions.

mod aggregate;
mod networks;
mod participant;
#[cfg(test)]
mod sample;
mod server;
mod texts;

use super::public_images::places;
use super::rounds::{Start, falling, idle, mean};
use super::{Card, LocalTask, Method, Models, Probe, RoundPlan, Trained, World};
use crate::captions::Captions;
use crate::simulation::SimulatedRound;
use crate::wire::payload::{Model, Representations};
use crate::{Error, Result, seeds};
use networks::{Shown, without_classes};
use participant::{Participant, Work};
use promptfed_data::LabelledImages;
use promptfed_learn::objective::ClassMap;
use promptfed_learn::{Classifier, EpochStats, TextTower};
use rayon::prelude::*;
use server::Server;
use std::fmt;
use texts::Texts;

/// Yu et al. 2023, "Multimodal Federated Learning via Contrastive Representation Ensemble" (CreamFL), algorithm 1. In each round the server trains a
/// network of images and one of captions on public pairs and tells what it makes of them; clients train on what they hold, then towards that
/// consensus ([`Consensus`](promptfed_learn::objective::Consensus)), and tell what they make of the pairs; the server makes one representation of theirs
/// (`aggregate`) and learns to say it ([`Imitation`](promptfed_learn::objective::Imitation)). No weights cross before the end.
///
/// A representation is what the classifier's network, with `width` outputs in place of classes, or a [`TextTower`] makes, divided by its length. Captions
/// are [`Captions`], so that the public ones name classes. The result is the server's network of images, whose last map is followed by the texts of the
/// classes; clients get it at the end. A client that cannot take a step takes no part.
#[derive(Debug, Clone, Copy)]
pub struct CreamFl {
    /// How many rounds, and how long each; the server passes over the public pairs of a round as often.
    pub plan: RoundPlan,
    /// What clients hold.
    pub held: Held,
    /// Public pairs of a round, at least 1.
    pub public_images: usize,
    /// Numbers in a representation, at least 1.
    pub width: usize,
    /// Temperature of the clients' contrasts with the consensus, above 0.
    pub temperature: f32,
    /// Weight of these contrasts, 0 or above; at 0 clients do not pass over the public pairs.
    pub contrast: f32,
    /// Weight of the clients' representations in the server's training, 0 or above; at 0 it does not pass over the pairs for them.
    pub distillation: f32,
    /// Temperature at which images and captions are paired, above 0.
    pub pair_temperature: f32,
    /// Peak learning rate of the networks of captions, above 0.
    pub text_rate: f32,
}

/// What clients hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Every client images with their classes, as in the other methods.
    Images,
    /// Every client images with their captions.
    Pairs,
    /// In turn images with classes, captions with classes, and images with captions.
    InTurn,
}

impl Held {
    /// All of them, in the order of [`Held::WORDS`].
    pub const ALL: [Self; 3] = [Self::Images, Self::Pairs, Self::InTurn];

    /// How each is said.
    pub const WORDS: &[&str] = &["image", "pair", "mixed"];

    /// Whether a client holds images, and whether it holds captions.
    fn of(self, client: usize) -> (bool, bool) {
        match (self, client % 3) {
            (Self::Images, _) | (Self::InTurn, 0) => (true, false),
            (Self::InTurn, 1) => (false, true),
            (Self::Pairs | Self::InTurn, _) => (true, true),
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Images => "clients hold images",
            Self::Pairs => "clients hold images with captions",
            Self::InTurn => "clients hold images, captions, and both in turn",
        })
    }
}

impl Method for CreamFl {
    fn card(&self) -> Card {
        Card {
            name: "creamfl".to_owned(),
            description: format!(
                "shares representations of {} public pairs of images and captions that name classes, {}: {} numbers of 4 bytes for each image or caption up, for both down, {} bytes beside them; {}; the server's network of images and texts of the classes is told",
                self.public_images,
                self.plan.described(),
                self.width,
                Representations::HEADER,
                self.held,
            ),
        }
    }

    fn looks_at_public(&self) -> bool {
        true
    }

    fn reads_captions(&self) -> bool {
        true
    }

    fn run(&self, world: &World<'_>, probe: &mut dyn Probe) -> Result<Trained> {
        let clients = world.clients();
        let public = world.public("creamfl")?;
        let Start {
            recipe,
            initial,
            able,
            ..
        } = self.plan.start(world)?;
        let texts = Texts::of(world.federation);
        let network = recipe.start(self.width)?;
        let mut server = Server {
            images: network.clone(),
            text: self.text(world, &texts)?,
        };
        let participants = able
            .iter()
            .map(|&index| self.participant(world, index, &network, &texts));
        let mut participants = participants.collect::<Result<Vec<_>>>()?;
        let own = able.iter().map(|&index| &clients[index].train);
        let own: Vec<_> = own.map(|own| without_classes(own, self.width)).collect();
        let peak = recipe.training.learning_rate;
        let mut curve = Vec::new();
        let mut last: Option<Classifier> = None;
        let task = world
            .observer
            .begin("creamfl: rounds", self.plan.rounds as u64);
        for round in 0..self.plan.rounds {
            let simulated = SimulatedRound::begin(world);
            let drawn = places(public, self.public_images, world.seed, round);
            let captions = drawn.iter().filter_map(|&place| texts.public.get(place));
            let shown = Shown {
                images: public.subset(&drawn),
                captions: captions.cloned().collect(),
            };
            let rate = falling(peak, round, self.plan.rounds);
            let text_rate = self.text_rate * rate / peak;
            let on_public = |whose: &str| {
                let seed = seeds::derive(world.seed, &format!("creamfl {round} {whose}"));
                LocalTask::new(world, &shown.images, &recipe.training, rate, seed)
            };
            server.learn_pairs(self, &on_public("pairs"), &shown, text_rate)?;
            let global = server.represent(&shown, self.width)?;
            let attendance = self.plan.participation.draw(world.seed, round, &able);
            let received = world.channel.down(attendance.names(clients), &global)?;
            simulated.received();
            let work = |index: usize, images: &LabelledImages, participant: &mut Participant| {
                let seed = seeds::derive(world.seed, &format!("fedavg {round} {index}"));
                let work = Work {
                    own: LocalTask::new(world, images, &recipe.training, rate, seed),
                    labels: &clients[index].train.labels,
                    public: on_public(&index.to_string()).once(),
                    shown: &shown,
                    global: &received,
                    text_rate,
                };
                participant.round(self, &work)
            };
            let each = able.par_iter().zip(&own).zip(participants.par_iter_mut());
            let taking = each.filter(|((index, _), _)| attendance.answers(**index));
            let done = taking.map(|((index, images), participant)| {
                Ok((*index, work(*index, images, participant)?))
            });
            let done = done.collect::<Result<Vec<(usize, (Representations, EpochStats))>>>()?;
            let (mut told, mut stats, mut trained) = (Vec::new(), Vec::new(), Vec::new());
            for (index, (representations, of_client)) in done {
                let size = clients[index].train.len();
                let arrived = world.channel.up(&clients[index].name, &representations)?;
                // Its own as often as in any round, the public pairs once.
                let of_public = shown.images.len() * usize::from(self.has_contrasts());
                let samples = (size * recipe.training.epochs + of_public) as u64;
                if !simulated.is_late(index, samples) {
                    told.push(arrived);
                }
                stats.push((of_client, size));
                trained.push((index, samples));
            }
            let from_clients = on_public("clients").once();
            let heard = (&global, told.as_slice());
            server.learn_from_clients(self, &from_clients, &shown, heard, text_rate)?;
            // The public pairs as often as clients see their own, and once more for what these say.
            let hears = self.has_distillation() && !told.is_empty();
            let passes = recipe.training.epochs + usize::from(hears);
            let seen = (shown.images.len() * passes) as u64;
            simulated.end(&trained, simulated.of_server(0, seen));
            curve.push(mean(round, rate, &stats));
            let mut model = server.classifier(self, &initial, &texts, &shown)?;
            if round + 1 == self.plan.rounds {
                // The result is everybody's.
                let simulated = SimulatedRound::begin(world);
                let names = clients.iter().map(|client| client.name.as_str());
                Model(model) = world.channel.down(names, &Model(model))?;
                simulated.received();
            }
            probe.checkpoint(round, &[&model])?;
            last = Some(model);
            task.set(round as u64 + 1);
        }
        drop(task);
        let model = last.ok_or(Error::NoRounds)?;
        Ok(Trained {
            curve,
            selected: Some(self.plan.rounds - 1),
            selection: Some("last: the server has no validation images".to_owned()),
            provenance: idle(clients, &able),
            warnings: texts.warning().into_iter().collect(),
            ..Trained::of(Models::Global(Box::new(model)))
        })
    }
}

impl CreamFl {
    /// Whether clients learn from the consensus.
    fn has_contrasts(&self) -> bool {
        self.contrast > 0.0
    }

    /// Whether the server learns from clients.
    fn has_distillation(&self) -> bool {
        self.distillation > 0.0
    }

    /// The network of captions that all begin with.
    fn text(&self, world: &World<'_>, texts: &Texts) -> Result<TextTower> {
        let seed = seeds::derive(world.seed, "creamfl text");
        Ok(TextTower::new(texts.vocabulary.len(), self.width, seed)?)
    }

    fn participant(
        &self,
        world: &World<'_>,
        index: usize,
        network: &Classifier,
        texts: &Texts,
    ) -> Result<Participant> {
        let (has_images, has_captions) = self.held.of(index);
        let mut captions = Vec::new();
        if has_captions {
            let train = &world.clients()[index].train;
            let own = Captions::of(train, &world.federation.label_space).texts;
            captions.extend(own.iter().map(|text| texts.vocabulary.tokens(text)));
        }
        let text = has_captions.then(|| self.text(world, texts));
        let seed = seeds::derive(world.seed, "creamfl classes");
        Ok(Participant {
            images: has_images.then(|| network.clone()),
            text: text.transpose()?,
            classes: ClassMap::new(world.classes(), self.width, seed),
            captions,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_hold_is_said_and_dealt_in_turn() {
        assert_eq!(Held::ALL.len(), Held::WORDS.len());
        let held = |held: Held| (0..4).map(|client| held.of(client)).collect::<Vec<_>>();
        assert_eq!(held(Held::Images), [(true, false); 4]);
        assert_eq!(held(Held::Pairs), [(true, true); 4]);
        let turn = [(true, false), (false, true), (true, true), (true, false)];
        assert_eq!(held(Held::InTurn), turn);
    }
}
