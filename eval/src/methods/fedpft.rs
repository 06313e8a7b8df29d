//! Clients that send what their features are distributed like, once.

use super::frozen_network::FrozenClassifier;
use super::{Card, FrozenNetwork, Method, Models, Probe, SoftmaxRegression, Trained, World};
use crate::mixture::Mixture;
use crate::quality::FeatureSet;
use crate::simulation::SimulatedRound;
use crate::wire::payload::{Mixtures, Model};
use crate::{Error, FederatedClient, Result, seeds};
use promptfed_learn::EpochStats;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// Beitollahi et al. 2024, "Parametric Feature Transfer: One-shot Federated Learning with Foundation Models" (arXiv 2402.01862), with a server:
/// a client fits a Gaussian mixture of diagonal covariance to the features of each of its classes by a frozen network, and sends the
/// mixtures and the classes' counts in 16 bits a number. The server draws as many features of each client and class as there are images, and trains a
/// linear head on all of them.
///
/// Where a class has few images the authors' code leaves it out; here its mixture has fewer components, one at least. Their head is
/// trained by a stochastic optimiser; here it is the minimum that softmax regression has.
#[derive(Clone)]
pub struct FedPft {
    /// What sees the images.
    pub network: FrozenNetwork,
    /// Components of a mixture at most, at least 1.
    pub components: usize,
    /// How the head is trained.
    pub regression: SoftmaxRegression,
}

impl Method for FedPft {
    fn card(&self) -> Card {
        Card {
            name: "fedpft".to_owned(),
            description: format!(
                "shares Gaussian mixtures of features by class, once, at most {} components each, in 16 bits a number, and the classes' counts; trains a linear head (weight decay {}) on \
                 features drawn of them. The features are of EfficientNet-lite0, which was trained on ImageNet with its labels",
                self.components, self.regression.decay
            ),
        }
    }

    fn determined_by(&self) -> String {
        // The step's length follows from a direction that is drawn.
        format!(
            "{} {:?}, steps by power iteration from a drawn direction",
            self.network.identity(),
            self.regression
        )
    }

    fn run(&self, world: &World<'_>, _: &mut dyn Probe) -> Result<Trained> {
        let clients = world.clients();
        let simulated = SimulatedRound::begin(world);
        let images = clients.iter().map(|client| client.train.len() as u64);
        let task = world.observer.begin("fedpft: features", images.sum());
        let mut done = 0;
        let mut arrived = Vec::with_capacity(clients.len());
        for (index, client) in clients.iter().enumerate() {
            let tell = &mut |of_client: usize| task.set((done + of_client) as u64);
            let features = self.network.features_of(&client.train, world, tell)?;
            done += client.train.len();
            let mixtures = self.mixtures(world, index, client, &features)?;
            arrived.push(world.channel.up(&client.name, &mixtures)?);
        }
        drop(task);
        // One look at each image, which is less than a step of training.
        let looks = clients.iter().map(|client| client.train.len() as u64);
        let looks: Vec<(usize, u64)> = looks.enumerate().collect();
        simulated.end_of_all(&looks, 0.0);
        let simulated = SimulatedRound::begin(world);
        let (features, labels) = draw(world.seed, &arrived)?;
        let steps = self.regression.steps as u64;
        let task = world.observer.begin("fedpft: head", steps);
        let tell = &mut |step: usize, loss: f64| {
            task.set(step as u64);
            task.remark(&format!("loss {loss:.3}"));
        };
        let trained =
            self.regression
                .fit(&features, &labels, world.classes(), world.cancel, tell)?;
        drop(task);
        let names = clients.iter().map(|client| client.name.as_str());
        let Model(head) = world.channel.down(names, &Model(trained.head))?;
        simulated.received();
        let model = FrozenClassifier {
            network: self.network.clone(),
            head,
        };
        Ok(Trained {
            curve: vec![EpochStats {
                epoch: 1,
                learning_rate: trained.rate as f32,
                train_loss: trained.loss as f32,
                train_accuracy: trained.accuracy as f32,
                validation_accuracy: None,
                validation_balanced_accuracy: None,
            }],
            selected: Some(0),
            selection: Some("last: there is one round".to_owned()),
            provenance: vec![("frozen network".to_owned(), self.network.identity())],
            warnings: vec![format!("fedpft {}", FrozenNetwork::DOUBT)],
            ..Trained::of(Models::Global(Box::new(model)))
        })
    }
}

impl FedPft {
    /// What a client sends: nothing of classes that it has no image of.
    fn mixtures(
        &self,
        world: &World<'_>,
        index: usize,
        client: &FederatedClient,
        features: &FeatureSet,
    ) -> Result<Mixtures> {
        let mut classes: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (place, class) in client.train.labels.iter().enumerate() {
            classes.entry(*class).or_default().push(place);
        }
        let fit = |(class, places): (u32, Vec<usize>)| {
            if world.cancel.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let seed = seeds::derive(world.seed, &format!("fedpft mixture {index} {class}"));
            let mixture = Mixture::fit(&features.subset(&places), self.components, seed);
            Ok((class, (places.len() as u32, mixture)))
        };
        let classes: Vec<(u32, Vec<usize>)> = classes.into_iter().collect();
        let fitted: Result<Vec<_>> = classes.into_par_iter().map(fit).collect();
        Ok(Mixtures(fitted?.into_iter().collect()))
    }
}

/// As many features of each client and class as there are images, and their labels.
fn draw(seed: u64, clients: &[Mixtures]) -> Result<(FeatureSet, Vec<u32>)> {
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for (index, Mixtures(classes)) in clients.iter().enumerate() {
        for (class, (images, mixture)) in classes {
            let mut widths = mixture.components.iter().map(|c| c.means.len());
            if widths.any(|width| width != FrozenNetwork::WIDTH) {
                return Err(Error::Payload {
                    what: "mixtures",
                    reason: format!("they are not of {} features", FrozenNetwork::WIDTH),
                });
            }
            let seed = seeds::derive(seed, &format!("fedpft features {index} {class}"));
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            values.extend(mixture.draw(*images as usize, &mut rng));
            labels.extend(std::iter::repeat_n(*class, *images as usize));
        }
    }
    Ok((FeatureSet::new(FrozenNetwork::WIDTH, values)?, labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mixture::Component;

    fn at(mean: f64) -> Mixture {
        Mixture {
            components: vec![Component {
                weight: 1.0,
                means: vec![mean; FrozenNetwork::WIDTH],
                variances: vec![1e-4; FrozenNetwork::WIDTH],
            }],
        }
    }

    #[test]
    fn as_many_features_are_drawn_as_there_are_images() {
        let clients = [
            Mixtures(BTreeMap::from([(0, (3, at(1.0))), (2, (1, at(5.0)))])),
            Mixtures::default(),
            Mixtures(BTreeMap::from([(2, (2, at(-2.0)))])),
        ];
        let (features, labels) = draw(4, &clients).unwrap();
        assert_eq!(labels, [0, 0, 0, 2, 2, 2]);
        assert_eq!(features.len(), 6);
        let firsts: Vec<f32> = features
            .values()
            .iter()
            .step_by(FrozenNetwork::WIDTH)
            .copied()
            .collect();
        for (found, expected) in firsts.into_iter().zip([1.0, 1.0, 1.0, 5.0, -2.0, -2.0]) {
            assert!((found - expected).abs() < 0.1, "{found}");
        }
        assert_eq!(draw(4, &clients).unwrap().0, features);
        assert_ne!(draw(5, &clients).unwrap().0, features);
        assert!(draw(4, &[]).unwrap().1.is_empty());
        let narrow = Mixture {
            components: vec![Component {
                weight: 1.0,
                means: vec![0.0],
                variances: vec![1.0],
            }],
        };
        assert!(draw(4, &[Mixtures(BTreeMap::from([(0, (1, narrow))]))]).is_err());
    }
}
