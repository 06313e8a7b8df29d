//! Weights inside clusters of similar clients, answers between the clusters and a cloud.

use super::clusters::clusters;
use super::local_training::{average_into, classes, train};
use super::public_images::draw;
use super::rounds::{Start, falling, idle, mean};
use super::{Card, LocalTask, Method, Models, Probe, RoundPlan, Trained, World};
use crate::simulation::SimulatedRound;
use crate::wire::payload::{Counts, Logits, Model};
use crate::{Error, Result, seeds};
use promptfed_learn::Classifier;
use promptfed_learn::objective::Distillation;
use rayon::prelude::*;

/// Deng et al. 2023 (INFOCOM), "A Hierarchical Knowledge Transfer Framework for Heterogeneous Federated Learning", after its description: clients with
/// similar shares of the classes form a cluster with an edge server, inside which weights are averaged as by FedAvg; on public images the edges
/// tell a cloud what their models see; the cloud's model learns from them, each image from every edge by how sure that edge is of it; and the
/// cloud tells what it sees back, of which an edge learns those images of which the cloud is surer than itself.
///
/// How sure a model is of an image is `1 - H(p) / ln(classes)`, with the entropy `H` of its probabilities. The authors' code was not at hand: clusters
/// (k-means of the shares of classes), this measure and one pass over the public images each way are choices made here. The result is
/// the cloud's model of the last round, which clients get at the end. A client that cannot take a step takes no part.
#[derive(Debug, Clone, Copy)]
pub struct FedHkt {
    /// How many rounds, and how long each.
    pub plan: RoundPlan,
    /// Clusters, at least 1.
    pub clusters: usize,
    /// Public images of a round, at least 1.
    pub public_images: usize,
    /// At which probabilities are softened in learning from them, above 0.
    pub temperature: f32,
}

/// A cluster.
struct Edge {
    name: String,
    /// Its clients.
    clients: Vec<usize>,
    model: Classifier,
}

impl Method for FedHkt {
    fn card(&self) -> Card {
        Card {
            name: "fedhkt".to_owned(),
            description: format!(
                "shares weights inside {} clusters of similar clients and answers on {} public images between them and a cloud, {}",
                self.clusters,
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

    fn run(&self, world: &World<'_>, _: &mut dyn Probe) -> Result<Trained> {
        let clients = world.clients();
        let public = world.public("fedhkt")?;
        let Start {
            recipe,
            initial: mut cloud,
            able,
            ..
        } = self.plan.start(world)?;
        let mut edges = self.edges(world, &able, &cloud)?;
        let mut curve = Vec::new();
        let task = world
            .observer
            .begin("fedhkt: rounds", self.plan.rounds as u64);
        for round in 0..self.plan.rounds {
            let rate = falling(recipe.training.learning_rate, round, self.plan.rounds);
            let (mut stats, mut worked) = (Vec::new(), Vec::new());
            let simulated = SimulatedRound::begin(world);
            let attendance = self.plan.participation.draw(world.seed, round, &able);
            for edge in &mut edges {
                let members = || edge.clients.iter().copied();
                let names = members().filter(|&i| attendance.receives(i));
                let names = names.map(|i| clients[i].name.as_str());
                let Model(received) = world.channel.down(names, &Model(edge.model.clone()))?;
                let answering: Vec<usize> = members().filter(|&i| attendance.answers(i)).collect();
                let work = |&index: &usize| {
                    let seed = seeds::derive(world.seed, &format!("fedavg {round} {index}"));
                    let images = &clients[index].train;
                    let task = LocalTask::new(world, images, &recipe.training, rate, seed);
                    train(&task, &received, &mut classes(&task))
                };
                let done = answering.par_iter().map(work);
                let done = done.collect::<Result<Vec<_>>>()?;
                let mut ups = Vec::with_capacity(done.len());
                for (&index, (model, of_client)) in answering.iter().zip(done) {
                    let size = clients[index].train.len();
                    let up = world.channel.up(&clients[index].name, &Model(model))?;
                    ups.push((up, size));
                    stats.push((of_client, size));
                    worked.push((index, (size * recipe.training.epochs) as u64));
                }
                if !ups.is_empty() {
                    average_into(&mut edge.model, ups)?;
                }
            }
            let shown = draw(public, self.public_images, world.seed, round);
            let seed = seeds::derive(world.seed, &format!("fedhkt cloud {round}"));
            let digest = LocalTask::new(world, &shown, &recipe.training, rate, seed).once();
            self.teach_cloud(world, &mut cloud, &edges, &digest)?;
            self.teach_edges(world, &cloud, &mut edges, &digest)?;
            // Edges and cloud stand in one place, and learn from the same images at the same time.
            simulated.end_of_all(&worked, simulated.of_server(0, 2 * shown.len() as u64));
            curve.push(mean(round, rate, &stats));
            task.set(round as u64 + 1);
        }
        drop(task);
        if self.plan.rounds == 0 {
            return Err(Error::NoRounds);
        }
        let names = clients.iter().map(|client| client.name.as_str());
        let simulated = SimulatedRound::begin(world);
        let Model(model) = world.channel.down(names, &Model(cloud))?;
        simulated.received();
        let told = edges.iter().map(|edge| {
            let members: Vec<&str> = edge
                .clients
                .iter()
                .map(|&i| clients[i].name.as_str())
                .collect();
            (edge.name.clone(), members.join(", "))
        });
        Ok(Trained {
            curve,
            selected: Some(self.plan.rounds - 1),
            selection: Some("last: the cloud has no validation images".to_owned()),
            provenance: told.chain(idle(clients, &able)).collect(),
            ..Trained::of(Models::Global(Box::new(model)))
        })
    }
}

impl FedHkt {
    /// Who is with whom: the clients tell how many images of each class they train on.
    fn edges(&self, world: &World<'_>, able: &[usize], start: &Classifier) -> Result<Vec<Edge>> {
        let mut shares = Vec::with_capacity(able.len());
        for &index in able {
            let client = &world.clients()[index];
            let counts = Counts::of_labels(&client.train.labels, world.classes());
            let Counts(counts) = world.channel.up(&client.name, &counts)?;
            let all = counts.iter().map(|n| f64::from(*n)).sum::<f64>().max(1.0);
            shares.push(counts.iter().map(|n| f64::from(*n) / all).collect());
        }
        let seed = seeds::derive(world.seed, "fedhkt clusters");
        let found = clusters(&shares, self.clusters, seed).into_iter();
        let edge = |(number, members): (usize, Vec<usize>)| Edge {
            name: format!("edge {number}"),
            clients: members.into_iter().map(|place| able[place]).collect(),
            model: start.clone(),
        };
        Ok(found.enumerate().map(edge).collect())
    }

    fn teach_cloud(
        &self,
        world: &World<'_>,
        cloud: &mut Classifier,
        edges: &[Edge],
        digest: &LocalTask<'_>,
    ) -> Result<()> {
        let mut told = Vec::with_capacity(edges.len());
        for edge in edges {
            let seen = Logits::of(&Classifier::probabilities(&edge.model, digest.images)?);
            told.push(world.channel.up(&edge.name, &seen)?);
        }
        self.learn(cloud, ensemble(&told, world.classes()), digest)
    }

    fn teach_edges(
        &self,
        world: &World<'_>,
        cloud: &Classifier,
        edges: &mut [Edge],
        digest: &LocalTask<'_>,
    ) -> Result<()> {
        let classes = world.classes();
        let seen = Logits::of(&Classifier::probabilities(cloud, digest.images)?);
        let names: Vec<String> = edges.iter().map(|edge| edge.name.clone()).collect();
        let told = world
            .channel
            .down(names.iter().map(String::as_str), &seen)?;
        for (number, edge) in edges.iter_mut().enumerate() {
            let own = Logits::of(&Classifier::probabilities(&edge.model, digest.images)?);
            let chosen = surer(&told, &own, classes);
            // Nothing can be normalised.
            if edge.model.check_batch(chosen.len()).is_err() {
                continue;
            }
            let images = digest.images.subset(&chosen);
            let rows = chosen
                .iter()
                .flat_map(|&i| &told.0[i * classes..][..classes]);
            let goal = rows.copied().collect();
            let mut own = LocalTask {
                images: &images,
                ..digest.clone()
            };
            own.config.seed = seeds::derive(digest.config.seed, &format!("edge {number}"));
            self.learn(&mut edge.model, Logits(goal), &own)?;
        }
        Ok(())
    }

    fn learn(
        &self,
        model: &mut Classifier,
        Logits(logits): Logits,
        task: &LocalTask<'_>,
    ) -> Result<()> {
        let mut objective = Distillation {
            logits,
            temperature: self.temperature,
        };
        let (learned, _) = train(task, model, &mut objective)?;
        *model = learned;
        Ok(())
    }
}

/// How sure of an image, by the logarithms of its probabilities: from 0, all classes alike, to 1.
fn confidence(row: &[f32]) -> f64 {
    let entropy: f64 = row
        .iter()
        .map(|l| -f64::from(l.exp()) * f64::from(*l))
        .sum();
    1.0 - entropy / (row.len().max(2) as f64).ln()
}

/// The probabilities of every image by all edges, each by how sure it is, as logarithms.
fn ensemble(edges: &[Logits], classes: usize) -> Logits {
    let images = edges.first().map_or(0, |Logits(v)| v.len() / classes);
    let mut probabilities = Vec::with_capacity(images * classes);
    for image in 0..images {
        let rows = || {
            edges
                .iter()
                .map(|Logits(v)| &v[image * classes..][..classes])
        };
        // Where nobody is sure of anything, all count alike.
        let weights: Vec<f64> = rows().map(|row| confidence(row).max(1e-6)).collect();
        let total: f64 = weights.iter().sum();
        probabilities.extend((0..classes).map(|class| {
            let of = rows().zip(&weights);
            let sum: f64 = of.map(|(row, w)| w * f64::from(row[class].exp())).sum();
            (sum / total) as f32
        }));
    }
    Logits::of(&probabilities)
}

/// The images of which `one` is surer than `other`.
fn surer(Logits(one): &Logits, Logits(other): &Logits, classes: usize) -> Vec<usize> {
    let pairs = one.chunks_exact(classes).zip(other.chunks_exact(classes));
    let places = pairs.enumerate();
    places
        .filter(|(_, (one, other))| confidence(one) > confidence(other))
        .map(|(place, _)| place)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logs(probabilities: &[f32]) -> Logits {
        Logits::of(probabilities)
    }

    #[test]
    fn who_is_sure_counts_and_who_is_not_does_not() {
        assert!(confidence(&logs(&[0.25; 4]).0).abs() < 1e-6);
        assert!(confidence(&logs(&[1.0, 0.0, 0.0, 0.0]).0) > 0.999);
        let sure = logs(&[0.98, 0.01, 0.01, 0.34, 0.33, 0.33]);
        let unsure = logs(&[0.34, 0.33, 0.33, 0.01, 0.98, 0.01]);
        let Logits(together) = ensemble(&[sure.clone(), unsure.clone()], 3);
        let p: Vec<f32> = together.iter().map(|l| l.exp()).collect();
        assert!(p[0] > 0.95 && p[4] > 0.95, "{p:?}");
        for row in p.chunks(3) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        }
        assert_eq!(surer(&sure, &unsure, 3), [0]);
        assert_eq!(surer(&unsure, &sure, 3), [1]);
        assert!(surer(&sure, &sure, 3).is_empty());
    }
}
