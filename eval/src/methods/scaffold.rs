//! Federated averaging whose clients correct their drift.

use super::local_training::{average_into, classes, train};
use super::{Card, LocalTask, RoundMethod, RoundPlan};
use crate::Result;
use crate::wire::payload::{ControlVariates, Model};
use promptfed_learn::objective::Controlled;
use promptfed_learn::{Classifier, EpochStats, TrainConfig, WeightTensor, Weights};

/// Karimireddy et al. 2020, "SCAFFOLD: Stochastic Controlled Averaging for Federated Learning", algorithm 1 with option II, and a global step of 1.
/// Models and control variates are weighted by client size.
///
/// The control variates are means of gradients along plain SGD: clients train without momentum, and at a rate at which they go as far in a
/// round as the others' momentum, which begins anew each round, takes them along a constant gradient ([`length_by_momentum`]).
#[derive(Debug, Clone, Copy)]
pub struct Scaffold {
    /// How many rounds, and how long each.
    pub plan: RoundPlan,
}

/// What the server remembers.
pub struct ControllingServer {
    model: Classifier,
    control: Weights,
}

impl RoundMethod for Scaffold {
    type Down = (Model, ControlVariates);
    type Up = (Model, ControlVariates);
    type Server = ControllingServer;
    /// The client's own control variate.
    type Local = Weights;

    fn card(&self) -> Card {
        Card {
            name: "scaffold".to_owned(),
            description: format!(
                "shares weights and control variates, {}; clients correct their drift",
                self.plan.described()
            ),
        }
    }

    fn plan(&self) -> RoundPlan {
        self.plan
    }

    fn server(&self, initial: &Classifier) -> Result<ControllingServer> {
        Ok(ControllingServer {
            model: initial.clone(),
            control: zeros(initial)?,
        })
    }

    fn client(&self, initial: &Classifier) -> Result<Weights> {
        zeros(initial)
    }

    fn broadcast(&self, server: &ControllingServer) -> Result<Self::Down> {
        Ok((
            Model(server.model.clone()),
            ControlVariates(server.control.clone()),
        ))
    }

    fn model<'d>(&self, (Model(model), _): &'d Self::Down) -> &'d Classifier {
        model
    }

    fn local(
        &self,
        task: &LocalTask<'_>,
        own: &mut Weights,
        down: &Self::Down,
    ) -> Result<(Self::Up, EpochStats)> {
        let (Model(received), ControlVariates(control)) = down;
        let plain = LocalTask {
            images: task.images,
            config: TrainConfig {
                learning_rate: task.config.learning_rate
                    * length_by_momentum(task.config.momentum, task.steps()),
                momentum: 0.0,
                ..task.config.clone()
            },
            cancel: task.cancel,
        };
        let correction = combine(control, own, |c, c_i| c - c_i);
        let mut objective = Controlled {
            inner: classes(&plain),
            correction: received.parameters_of(&correction)?,
        };
        let (model, stats) = train(&plain, received, &mut objective)?;
        // c_i+ = c_i - c + (x - y_i) / (K eta)
        let length = plain.steps() as f32 * plain.config.learning_rate;
        let moved = combine(&received.weights()?, &model.weights()?, |x, y| {
            (x - y) / length
        });
        let new = combine(&moved, &correction, |moved, correction| moved - correction);
        let change = combine(&new, own, |new, old| new - old);
        *own = new;
        Ok(((Model(model), ControlVariates(change)), stats))
    }

    fn aggregate(
        &self,
        server: &mut ControllingServer,
        _: usize,
        ups: Vec<(Self::Up, usize)>,
        all: usize,
    ) -> Result<()> {
        let (mut models, mut control) = (Vec::new(), server.control.clone());
        for ((model, ControlVariates(change)), size) in ups {
            // Of all clients: line 17's |S| / N is in it.
            let share = size as f32 / all.max(1) as f32;
            control = combine(&control, &change, |c, change| c + share * change);
            models.push((model, size));
        }
        server.control = control;
        average_into(&mut server.model, models)
    }
}

/// The mean length of the first steps of Nesterov's momentum from rest, along a gradient of length 1: of `(1 - m^(t + 1)) / (1 - m)` over
/// `t = 1..=steps`.
fn length_by_momentum(momentum: f32, steps: usize) -> f32 {
    let m = f64::from(momentum);
    let step = |t: usize| (1.0 - m.powi(t as i32 + 1)) / (1.0 - m);
    ((1..=steps).map(step).sum::<f64>() / steps.max(1) as f64) as f32
}

fn zeros(model: &Classifier) -> Result<Weights> {
    let mut weights = model.weights()?;
    weights.retain(|name, _| model.is_trained(name));
    for tensor in weights.values_mut() {
        tensor.values.fill(0.0);
    }
    Ok(weights)
}

/// Value by value, for the tensors that both have.
fn combine(a: &Weights, b: &Weights, of: impl Fn(f32, f32) -> f32) -> Weights {
    let both = a.iter().filter_map(|(name, a)| {
        let values = a.values.iter().zip(&b.get(name)?.values);
        let tensor = WeightTensor {
            shape: a.shape.clone(),
            values: values.map(|(a, b)| of(*a, *b)).collect(),
        };
        Some((name.clone(), tensor))
    });
    both.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::Participation;
    use promptfed_data::LabelledImages;
    use promptfed_learn::{Augmentation, ClassifierConfig, Schedule};
    use std::sync::atomic::AtomicBool;

    #[test]
    fn without_momentum_nothing_is_added_and_with_it_what_it_goes_further() {
        assert_eq!(length_by_momentum(0.0, 7), 1.0);
        // 1.9, 2.71
        assert!((length_by_momentum(0.9, 2) - 2.305).abs() < 1e-6);
        assert!((length_by_momentum(0.9, 10_000) - 10.0).abs() < 0.02);
    }

    fn images() -> LabelledImages {
        let (size, count) = (16, 12);
        let pixel = |i: usize| ((i * 37 + (i / 768) * 91) % 251) as u8;
        LabelledImages {
            size,
            pixels: (0..count * size * size * 3).map(pixel).collect(),
            labels: (0..count as u32).map(|i| i % 3).collect(),
            domains: vec![0; count],
            class_names: ["a", "b", "c"].map(str::to_owned).into(),
            domain_names: Vec::new(),
        }
    }

    /// Whole batches of all images by SGD alone.
    fn plain(epochs: usize, learning_rate: f32) -> TrainConfig {
        TrainConfig {
            epochs,
            batch_size: 12,
            learning_rate,
            schedule: Schedule::Constant,
            momentum: 0.0,
            weight_decay: 0.0,
            label_smoothing: 0.0,
            augmentation: Augmentation::NONE,
            ..TrainConfig::default()
        }
    }

    fn scaffold() -> Scaffold {
        Scaffold {
            plan: RoundPlan {
                rounds: 1,
                local_epochs: 1,
                learning_rate: None,
                participation: Participation::FULL,
            },
        }
    }

    /// A client's control variate is its mean gradient: against it the loss falls, by as much as its length says, and a longer round at a
    /// small rate finds the same.
    #[test]
    fn a_control_variate_is_a_mean_gradient() {
        let (images, never) = (images(), AtomicBool::new(false));
        let config = ClassifierConfig::new(3, 16).with_width(4);
        let start = Classifier::new(config, 1).unwrap();
        let find = |epochs: usize| {
            let task = LocalTask {
                images: &images,
                config: plain(epochs, 1e-4),
                cancel: &never,
            };
            let down = (
                Model(start.clone()),
                ControlVariates(zeros(&start).unwrap()),
            );
            let mut own = zeros(&start).unwrap();
            let ((_, ControlVariates(change)), stats) =
                scaffold().local(&task, &mut own, &down).unwrap();
            assert_eq!(change, own, "it began at zero");
            (own, f64::from(stats.train_loss))
        };
        let (gradient, loss) = find(1);
        let (longer, _) = find(4);
        let squares = |of: &Weights| -> f64 {
            let values = of.values().flat_map(|tensor| &tensor.values);
            values.map(|v| f64::from(*v).powi(2)).sum()
        };
        let apart = combine(&gradient, &longer, |a, b| a - b);
        assert!(
            squares(&apart) < 0.1 * squares(&gradient),
            "{} {}",
            squares(&apart),
            squares(&gradient)
        );
        // One step of training against it, whose loss is that of the next.
        let step = 0.005 / squares(&gradient).sqrt();
        let mut moved = start.clone();
        let mut weights = start.weights().unwrap();
        for (name, tensor) in &gradient {
            let values = weights.get_mut(name).unwrap().values.iter_mut();
            values
                .zip(&tensor.values)
                .for_each(|(w, g)| *w -= (step as f32) * g);
        }
        moved.load_weights(&weights).unwrap();
        let task = LocalTask {
            images: &images,
            config: plain(1, 1e-6),
            cancel: &never,
        };
        let (_, after) = train(&task, &moved, &mut classes(&task)).unwrap();
        let fell = loss - f64::from(after.train_loss);
        let said = step * squares(&gradient);
        assert!((fell / said - 1.0).abs() < 0.25, "{fell} and not {said}");
    }

    #[test]
    fn the_server_s_is_the_clients_mean_by_size() {
        let start = Classifier::new(ClassifierConfig::new(3, 16).with_width(4), 1).unwrap();
        let of = |value: f32| {
            let mut weights = zeros(&start).unwrap();
            weights
                .values_mut()
                .for_each(|tensor| tensor.values.fill(value));
            ControlVariates(weights)
        };
        let mut server = scaffold().server(&start).unwrap();
        let up = |value| (Model(start.clone()), of(value));
        scaffold()
            .aggregate(&mut server, 0, vec![(up(1.0), 30), (up(-3.0), 10)], 40)
            .unwrap();
        assert_eq!(ControlVariates(server.control.clone()), of(0.0));
        scaffold()
            .aggregate(&mut server, 0, vec![(up(2.0), 10), (up(2.0), 10)], 40)
            .unwrap();
        // Half of the images took part.
        assert_eq!(ControlVariates(server.control), of(1.0));
    }
}
