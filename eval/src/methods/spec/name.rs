//! The methods' names, and what is told of each.

use super::settings::RATE;
use std::fmt;

/// Every method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MethodName {
    /// One-shot generative learning with the first engine.
    Fgl,
    /// Rounds of averaging that begin with its model.
    FglRounds,
    /// The same with images chosen of several engines'.
    Fused,
    /// The first engine's images of the class names alone.
    ZeroUpload,
    /// All real images in one place.
    Centralised,
    /// Every client for itself.
    Local,
    /// Federated averaging.
    Fedavg,
    /// Clients that stay near the global model.
    Fedprox,
    /// Adam at the server.
    Fedadam,
    /// Yogi at the server.
    Fedyogi,
    /// Clients that correct their drift.
    Scaffold,
    /// Clients that contrast models.
    Moon,
    /// Clients that share mean features of classes.
    Fedproto,
    /// The same with prototypes that the server trains.
    Fedtgp,
    /// Clients that share answers on public images.
    Fedmd,
    /// Clusters of clients that share answers on public images with a cloud.
    Fedhkt,
    /// Clients that share what they make of public images and captions.
    Creamfl,
    /// Clients that share mixtures of features, once.
    Fedpft,
    /// Always the most frequent class.
    Majority,
    /// Guessing.
    Chance,
}

impl MethodName {
    /// All of them, in the order that they are told in.
    pub const ALL: [Self; 20] = [
        Self::Fgl,
        Self::FglRounds,
        Self::Fused,
        Self::ZeroUpload,
        Self::Centralised,
        Self::Local,
        Self::Fedavg,
        Self::Fedprox,
        Self::Fedadam,
        Self::Fedyogi,
        Self::Scaffold,
        Self::Moon,
        Self::Fedproto,
        Self::Fedtgp,
        Self::Fedmd,
        Self::Fedhkt,
        Self::Creamfl,
        Self::Fedpft,
        Self::Majority,
        Self::Chance,
    ];

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fgl => "fgl",
            Self::FglRounds => "fgl-rounds",
            Self::Fused => "fused",
            Self::ZeroUpload => "zero-upload",
            Self::Centralised => "centralised",
            Self::Local => "local",
            Self::Fedavg => "fedavg",
            Self::Fedprox => "fedprox",
            Self::Fedadam => "fedadam",
            Self::Fedyogi => "fedyogi",
            Self::Scaffold => "scaffold",
            Self::Moon => "moon",
            Self::Fedproto => "fedproto",
            Self::Fedtgp => "fedtgp",
            Self::Fedmd => "fedmd",
            Self::Fedhkt => "fedhkt",
            Self::Creamfl => "creamfl",
            Self::Fedpft => "fedpft",
            Self::Majority => "majority",
            Self::Chance => "chance",
        }
    }

    /// What it is, and where it is from.
    pub fn about(self) -> &'static str {
        match self {
            Self::Fgl => "one-shot generative learning with the first engine (Zhang et al. 2023)",
            Self::FglRounds => {
                "a few rounds of averaging that begin with fgl's model (Zhang et al. 2023, the five-round variant)"
            }
            Self::Fused => {
                "fgl with images chosen of several engines' (after FuseGen, Zou et al. 2024)"
            }
            Self::ZeroUpload => {
                "the first engine's images of the class names alone: what do clients' prompts add?"
            }
            Self::Centralised => "all real images in one place",
            Self::Local => "every client for itself; the mean over clients",
            Self::Fedavg => "federated averaging (McMahan et al. 2017)",
            Self::Fedprox => "clients stay near the global model (Li et al. 2020)",
            Self::Fedadam => "Adam at the server (Reddi et al. 2021)",
            Self::Fedyogi => "Yogi at the server (Reddi et al. 2021)",
            Self::Scaffold => "clients correct their drift (Karimireddy et al. 2020)",
            Self::Moon => {
                "clients contrast the global model with their last one (Li, He and Song 2021)"
            }
            Self::Fedproto => {
                "clients keep their own models and share mean features (Tan et al. 2022); the mean over clients"
            }
            Self::Fedtgp => {
                "the same with prototypes that the server trains to stand apart (Zhang et al. 2024)"
            }
            Self::Fedmd => {
                "clients keep their own models and learn from one another's answers on public images (Li and Wang 2019); the mean over clients"
            }
            Self::Fedhkt => {
                "weights inside clusters of similar clients, answers on public images between them and a cloud (after Deng et al. 2023)"
            }
            Self::Creamfl => {
                "clients and server learn from one another's representations of public images and captions that name classes (Yu et al. 2023)"
            }
            Self::Fedpft => {
                "a linear head on features of a network trained on ImageNet, drawn of the clients' Gaussian mixtures (Beitollahi et al. 2024)"
            }
            Self::Majority => "always the class that there are most images of",
            Self::Chance => "guessing",
        }
    }

    /// What clients send and receive.
    pub fn shares(self) -> &'static str {
        match self {
            Self::Fgl | Self::Fused => "prompts up, once; a model down",
            Self::FglRounds => "prompts up, once; then a model each way, every round",
            Self::ZeroUpload => "no prompt up; a model down",
            Self::Centralised => "images up; a model down",
            Self::Majority => "how many images of each class up",
            Self::Fedpft => "Gaussian mixtures of features up, once; a linear head down",
            Self::Local | Self::Chance => "nothing",
            Self::Fedavg | Self::Fedprox | Self::Fedadam | Self::Fedyogi | Self::Moon => {
                "a model each way, every round"
            }
            Self::Scaffold => "a model and control variates each way, every round",
            Self::Fedproto | Self::Fedtgp => "mean features each way, every round",
            Self::Fedmd => "answers on public images each way, every round",
            Self::Fedhkt => {
                "a model each way, and between edges and cloud answers on public images each way, every round"
            }
            Self::Creamfl => {
                "representations of public images and captions each way, every round; a model down"
            }
        }
    }

    /// Whether it makes images.
    pub fn is_generative(self) -> bool {
        matches!(
            self,
            Self::Fgl | Self::FglRounds | Self::Fused | Self::ZeroUpload
        )
    }

    /// Whether it learns nothing.
    pub fn trains_nothing(self) -> bool {
        matches!(self, Self::Majority | Self::Chance)
    }

    /// Whether it looks at public images.
    pub fn needs_public(self) -> bool {
        matches!(self, Self::Fedmd | Self::Fedhkt | Self::Creamfl)
    }

    /// Whether it sees images by a network that is not trained: see [`on_features`](super::MethodSpec::on_features).
    pub fn needs_features(self) -> bool {
        matches!(self, Self::Fedpft)
    }

    /// Whether its rounds wait for all clients that take part, whatever the deadline.
    pub fn waits_for_all(self) -> bool {
        matches!(self, Self::Fedmd | Self::Fedhkt)
    }

    /// Whether its clients' computers take time on the simulated clock, so that it matters which of them are slow.
    pub fn has_clients_compute(self) -> bool {
        self.is_of_rounds() || self.needs_features()
    }

    /// Whether clients train in rounds.
    pub fn is_of_rounds(self) -> bool {
        self.settings().contains(&RATE)
    }
}

impl fmt::Display for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
