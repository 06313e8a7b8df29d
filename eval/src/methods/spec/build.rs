//! Methods made of what is said.

use super::settings::RATE;
use super::{MethodName, MethodSpec};
use crate::Result;
use crate::methods::{
    Adaptivity, Averaged, Card, Centralised, Chance, CreamFl, FedAvg, FedHkt, FedMd, FedOpt,
    FedPft, FedProto, FedProx, Fgl, FglRounds, FrozenNetwork, Held, LocalOnly, Majority, Method,
    Moon, Participation, Probe, RoundPlan, Rounds, Scaffold, SoftmaxRegression, Statistics,
    Trained, World,
};

/// How long methods train, and who takes part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// Rounds of the methods that have them, at least 1.
    pub rounds: usize,
    /// Passes over a client's own images in each round, at least 1.
    pub local_epochs: usize,
    /// Passes where a model is trained in one place, at least 1.
    pub epochs: usize,
    /// Who takes part in a round.
    pub participation: Participation,
}

impl MethodSpec {
    fn plan(&self, budget: &Budget) -> RoundPlan {
        RoundPlan {
            rounds: budget.rounds,
            local_epochs: budget.local_epochs,
            learning_rate: self.settings.get(RATE.name).map(|rate| *rate as f32),
            participation: budget.participation,
        }
    }

    /// The method; `None` of one that makes images, which takes engines and a server, and of one that sees them by a
    /// [frozen network](Self::on_features).
    pub fn method(&self, budget: &Budget) -> Option<Box<dyn Method>> {
        let (plan, epochs) = (self.plan(budget), budget.epochs);
        let method: Box<dyn Method> = match self.name {
            MethodName::Fgl
            | MethodName::FglRounds
            | MethodName::Fused
            | MethodName::ZeroUpload
            | MethodName::Fedpft => return None,
            MethodName::Centralised => Box::new(Centralised { epochs }),
            MethodName::Local => Box::new(LocalOnly { epochs }),
            MethodName::Majority => Box::new(Majority),
            MethodName::Chance => Box::new(Chance),
            MethodName::Fedavg => Box::new(Rounds(Averaged(FedAvg { plan }))),
            MethodName::Fedprox => Box::new(Rounds(Averaged(FedProx {
                plan,
                mu: self.get("mu"),
            }))),
            MethodName::Moon => Box::new(Rounds(Averaged(Moon {
                plan,
                mu: self.get("mu") as f32,
                temperature: self.get("temperature") as f32,
            }))),
            MethodName::Scaffold => Box::new(Rounds(Scaffold { plan })),
            MethodName::Fedadam => Box::new(Rounds(self.adaptive(plan, Adaptivity::Adam))),
            MethodName::Fedyogi => Box::new(Rounds(self.adaptive(plan, Adaptivity::Yogi))),
            MethodName::Fedhkt => Box::new(FedHkt {
                plan,
                clusters: (self.get("clusters") as usize).max(1),
                public_images: (self.get("public-images") as usize).max(1),
                temperature: self.get("temperature") as f32,
            }),
            MethodName::Fedmd => Box::new(FedMd {
                plan,
                public_images: (self.get("public-images") as usize).max(1),
                temperature: self.get("temperature") as f32,
            }),
            MethodName::Creamfl => Box::new(CreamFl {
                plan,
                held: Held::ALL[self.get("clients") as usize % Held::ALL.len()],
                public_images: (self.get("public-images") as usize).max(1),
                width: (self.get("width") as usize).max(1),
                temperature: self.get("temperature") as f32,
                contrast: self.get("contrast") as f32,
                distillation: self.get("distillation") as f32,
                pair_temperature: self.get("pair-temperature") as f32,
                text_rate: self.get("text-rate") as f32,
            }),
            MethodName::Fedproto | MethodName::Fedtgp => Box::new(FedProto {
                plan,
                lambda: self.get("lambda") as f32,
                trains_prototypes: self.name == MethodName::Fedtgp,
            }),
        };
        Some(Box::new(Named {
            name: self.to_string(),
            method,
        }))
    }

    /// The method that sees images by `network`; `None` of the others.
    pub fn on_features(&self, network: &FrozenNetwork) -> Option<Box<dyn Method>> {
        let method = match self.name {
            MethodName::Fedpft => FedPft {
                network: network.clone(),
                components: (self.get("components") as usize).max(1),
                regression: SoftmaxRegression::default(),
            },
            _ => return None,
        };
        Some(Box::new(Named {
            name: self.to_string(),
            method: Box::new(method),
        }))
    }

    /// The method that makes images, from its first part: the one shot.
    pub fn generative(&self, one_shot: Fgl, budget: &Budget) -> Box<dyn Method> {
        let method: Box<dyn Method> = match self.name {
            MethodName::FglRounds => Box::new(FglRounds {
                one_shot,
                plan: RoundPlan {
                    rounds: (self.get("rounds") as usize).max(1),
                    ..self.plan(budget)
                },
                server_epochs: self.get("server-epochs") as usize,
                statistics: match self.get("statistics") as usize {
                    1 => Statistics::Clients,
                    _ => Statistics::Server,
                },
            }),
            _ => Box::new(one_shot),
        };
        Box::new(Named {
            name: self.to_string(),
            method,
        })
    }

    fn adaptive(&self, plan: RoundPlan, adaptivity: Adaptivity) -> FedOpt {
        FedOpt {
            plan,
            adaptivity,
            server_learning_rate: self.get("server-rate"),
            beta1: self.get("beta1"),
            beta2: self.get("beta2"),
            tau: self.get("tau"),
        }
    }
}

/// A method under the name that it was asked for by, so that several of one kind stand side by side.
struct Named {
    name: String,
    method: Box<dyn Method>,
}

impl Method for Named {
    fn card(&self) -> Card {
        Card {
            name: self.name.clone(),
            ..self.method.card()
        }
    }

    fn determined_by(&self) -> String {
        self.method.determined_by()
    }

    fn looks_at_public(&self) -> bool {
        self.method.looks_at_public()
    }

    fn reads_captions(&self) -> bool {
        self.method.reads_captions()
    }

    fn works_elsewhere(&self) -> bool {
        self.method.works_elsewhere()
    }

    fn run(&self, world: &World<'_>, probe: &mut dyn Probe) -> Result<Trained> {
        self.method.run(world, probe)
    }
}
