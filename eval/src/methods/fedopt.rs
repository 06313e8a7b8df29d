//! Federated averaging with an adaptive optimiser at the server.

use super::local_training::{average_into, classes, train};
use super::{Card, LocalTask, RoundMethod, RoundPlan};
use crate::Result;
use crate::wire::payload::Model;
use promptfed_learn::{Classifier, EpochStats, WeightTensor};

/// Reddi et al. 2021, "Adaptive Federated Optimization", algorithm 2: the mean change of the clients' weights is the gradient of an adaptive
/// optimiser at the server. Changes are weighted by client size; running statistics are averaged as they are.
#[derive(Debug, Clone, Copy)]
pub struct FedOpt {
    /// How many rounds, and how long each.
    pub plan: RoundPlan,
    /// Which optimiser.
    pub adaptivity: Adaptivity,
    /// The server's learning rate, above 0.
    pub server_learning_rate: f64,
    /// Decay of the first moment, in `0.0..1.0`.
    pub beta1: f64,
    /// Decay of the second moment, in `0.0..1.0`.
    pub beta2: f64,
    /// Least root of the second moment, above 0.
    pub tau: f64,
}

/// How the second moment moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adaptivity {
    /// `beta2 v + (1 - beta2) d^2`
    Adam,
    /// `v - (1 - beta2) d^2 sign(v - d^2)`
    Yogi,
}

impl Adaptivity {
    fn name(self) -> &'static str {
        match self {
            Self::Adam => "fedadam",
            Self::Yogi => "fedyogi",
        }
    }
}

/// What the server remembers.
pub struct AdaptiveServer {
    model: Classifier,
    /// First and second moment by value of each trained tensor.
    moments: Moments,
}

impl RoundMethod for FedOpt {
    type Down = Model;
    type Up = Model;
    type Server = AdaptiveServer;
    type Local = ();

    fn card(&self) -> Card {
        Card {
            name: self.adaptivity.name().to_owned(),
            description: format!(
                "shares weights, {}; the server takes steps of {} along their mean change",
                self.plan.described(),
                self.server_learning_rate
            ),
        }
    }

    /// All of its settings, which the card does not have.
    fn determined_by(&self) -> String {
        format!("{self:?}")
    }

    fn plan(&self) -> RoundPlan {
        self.plan
    }

    fn server(&self, initial: &Classifier) -> Result<AdaptiveServer> {
        Ok(AdaptiveServer {
            model: initial.clone(),
            moments: Moments::default(),
        })
    }

    fn client(&self, _: &Classifier) -> Result<()> {
        Ok(())
    }

    fn broadcast(&self, server: &AdaptiveServer) -> Result<Model> {
        Ok(Model(server.model.clone()))
    }

    fn model<'d>(&self, Model(model): &'d Model) -> &'d Classifier {
        model
    }

    fn local(
        &self,
        task: &LocalTask<'_>,
        (): &mut (),
        Model(received): &Model,
    ) -> Result<(Model, EpochStats)> {
        let (model, stats) = train(task, received, &mut classes(task))?;
        Ok((Model(model), stats))
    }

    fn aggregate(
        &self,
        server: &mut AdaptiveServer,
        _: usize,
        ups: Vec<(Model, usize)>,
        _: usize,
    ) -> Result<()> {
        let before = server.model.weights()?;
        average_into(&mut server.model, ups)?;
        let mut after = server.model.weights()?;
        for (name, tensor) in &mut after {
            if let Some(old) = before.get(name).filter(|_| server.model.is_trained(name)) {
                self.step(name, old, tensor, &mut server.moments);
            }
        }
        Ok(server.model.load_weights(&after)?)
    }
}

/// 0 of 0.
fn sign(value: f64) -> f64 {
    if value == 0.0 { 0.0 } else { value.signum() }
}

/// First and second moments by tensor.
type Moments = std::collections::BTreeMap<String, Vec<(f64, f64)>>;

impl FedOpt {
    /// Replaces the mean `after` of one tensor by the step from `before`.
    fn step(
        &self,
        name: &str,
        before: &WeightTensor,
        after: &mut WeightTensor,
        moments: &mut Moments,
    ) {
        let fresh = || vec![(0.0, self.tau * self.tau); before.values.len()];
        let moments = moments.entry(name.to_owned()).or_insert_with(fresh);
        let values = before.values.iter().zip(&mut after.values);
        for ((old, new), (first, second)) in values.zip(moments) {
            let change = f64::from(*new) - f64::from(*old);
            *first = self.beta1 * *first + (1.0 - self.beta1) * change;
            let square = change * change;
            *second = match self.adaptivity {
                Adaptivity::Adam => self.beta2 * *second + (1.0 - self.beta2) * square,
                Adaptivity::Yogi => *second - (1.0 - self.beta2) * square * sign(*second - square),
            };
            let step = self.server_learning_rate * *first / (second.sqrt() + self.tau);
            *new = (f64::from(*old) + step) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use promptfed_learn::{Weights, federated};
    use serde::Deserialize;

    use super::*;
    use crate::methods::Participation;

    /// Of `golden/strategies.py`: what Flower's strategies make of the same clients' weights, by round and tensor.
    #[derive(Deserialize)]
    struct Golden {
        sizes: Vec<usize>,
        initial: Vec<Vec<f32>>,
        told: Vec<Vec<Vec<Vec<f32>>>>,
        fedavg: Vec<Vec<Vec<f32>>>,
        fedadam: Vec<Vec<Vec<f32>>>,
        fedyogi: Vec<Vec<Vec<f32>>>,
    }

    fn golden() -> Golden {
        serde_json::from_str(include_str!("../../tests/golden/strategies.json")).unwrap()
    }

    fn weights(tensors: &[Vec<f32>]) -> Weights {
        let tensor = |values: &Vec<f32>| WeightTensor {
            shape: vec![values.len()],
            values: values.clone(),
        };
        let named = tensors.iter().enumerate();
        named
            .map(|(i, values)| (i.to_string(), tensor(values)))
            .collect()
    }

    fn assert_close(found: &Weights, expected: &[Vec<f32>]) {
        for (found, expected) in found.values().zip(expected) {
            for (a, b) in found.values.iter().zip(expected) {
                assert!((a - b).abs() < 2e-5, "{a} and not {b}");
            }
        }
    }

    fn average(golden: &Golden, round: usize) -> Weights {
        let clients = golden.told[round].iter().zip(&golden.sizes);
        let models: Vec<(Weights, usize)> = clients.map(|(c, n)| (weights(c), *n)).collect();
        federated::average(&models).unwrap()
    }

    #[test]
    fn means_are_those_of_flower() {
        let golden = golden();
        for (round, expected) in golden.fedavg.iter().enumerate() {
            assert_close(&average(&golden, round), expected);
        }
    }

    #[test]
    fn steps_are_those_of_flower() {
        let golden = golden();
        for (adaptivity, expected) in [
            (Adaptivity::Adam, &golden.fedadam),
            (Adaptivity::Yogi, &golden.fedyogi),
        ] {
            let method = FedOpt {
                plan: RoundPlan {
                    rounds: expected.len(),
                    local_epochs: 1,
                    learning_rate: None,
                    participation: Participation::FULL,
                },
                adaptivity,
                server_learning_rate: 0.05,
                beta1: 0.9,
                beta2: 0.99,
                tau: 1e-3,
            };
            let (mut moments, mut at) = (Moments::default(), weights(&golden.initial));
            for (round, expected) in expected.iter().enumerate() {
                let mut next = average(&golden, round);
                for (name, tensor) in &mut next {
                    method.step(name, &at[name], tensor, &mut moments);
                }
                assert_close(&next, expected);
                at = next;
            }
        }
    }
}
