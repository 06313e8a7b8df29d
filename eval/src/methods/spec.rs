//! Methods by name, as the command line and plans say them: `fedprox:mu=0.1`.

use super::{
    Adaptivity, Averaged, Card, Centralised, Chance, FedAvg, FedHkt, FedMd, FedOpt, FedPft,
    FedProto, FedProx, Fgl, FglRounds, FrozenNetwork, LocalOnly, Majority, Method, Moon,
    Participation, Probe, RoundPlan, Rounds, Scaffold, SoftmaxRegression, Trained, World,
};
use crate::Result;
use promptfed_prompts::Level;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

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
    /// Clients that share mixtures of features, once.
    Fedpft,
    /// Always the most frequent class.
    Majority,
    /// Guessing.
    Chance,
}

/// A number that a method may be told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SettingOf {
    /// Its name.
    pub name: &'static str,
    /// Its value where nothing is said; `None` where it is that of all methods.
    pub default: Option<f64>,
    /// Least value, and whether it may be that.
    least: (f64, bool),
    /// Values must be below it.
    below: f64,
    /// Whether only whole numbers mean something.
    whole: bool,
    /// The words that are said in place of numbers 0, 1, ..., where they are.
    words: &'static [&'static str],
    /// What it is.
    pub about: &'static str,
}

impl SettingOf {
    const fn new(name: &'static str, default: Option<f64>, about: &'static str) -> Self {
        Self {
            name,
            default,
            least: (0.0, true),
            below: f64::INFINITY,
            whole: false,
            words: &[],
            about,
        }
    }

    const fn above_zero(self) -> Self {
        Self {
            least: (0.0, false),
            ..self
        }
    }

    const fn below(self, below: f64) -> Self {
        Self { below, ..self }
    }

    const fn whole(self) -> Self {
        Self {
            whole: true,
            ..self
        }
    }

    const fn words(self, words: &'static [&'static str]) -> Self {
        Self { words, ..self }
    }

    /// The value that a text says.
    fn read(&self, text: &str) -> Option<f64> {
        if self.words.is_empty() {
            return text.parse().ok().filter(|v| self.takes(*v));
        }
        let place = self.words.iter().position(|word| *word == text);
        place.map(|place| place as f64)
    }

    /// The words that may be said, where it is no number.
    pub fn one_of(&self) -> &'static [&'static str] {
        self.words
    }

    /// A value as it is said.
    fn said(&self, value: f64) -> String {
        let word = self.words.get(value as usize);
        word.map_or_else(|| value.to_string(), |word| (*word).to_owned())
    }

    /// What may be said, and an example for `method`.
    fn range(&self, method: MethodName) -> String {
        let name = self.name;
        if let Some(first) = self.words.first() {
            return format!(
                "give {}, as {method}:{name}={first}",
                self.words.join(" or ")
            );
        }
        let (least, may_be) = self.least;
        let kind = if self.whole {
            "a whole number"
        } else {
            "a number"
        };
        let from = if may_be { "from" } else { "above" };
        let below = if self.below.is_finite() {
            format!(" and below {}", self.below)
        } else {
            String::new()
        };
        let example = self.default.unwrap_or(0.05);
        format!("give {kind} {from} {least}{below}, as {method}:{name}={example}")
    }

    /// Whether a value means something, also as f32, in which most are used.
    fn takes(&self, value: f64) -> bool {
        let (least, may_be) = self.least;
        let narrow = f64::from(value as f32);
        let is_above = |v: f64| v > least || may_be && v == least;
        let is_within = is_above(value) && is_above(narrow) && value < self.below;
        is_within && narrow.is_finite() && (!self.whole || value.fract() == 0.0)
    }
}

/// The names of [`Level::ALL`].
const LEVELS: &[&str] = &["class", "domain", "instance"];

/// The clients' peak learning rate, of every method of rounds.
const RATE: SettingOf = SettingOf::new(
    "learning-rate",
    None,
    "the clients' peak learning rate, in place of --learning-rate",
)
.above_zero();

const ADAPTIVE: [SettingOf; 5] = [
    SettingOf::new("server-rate", Some(0.01), "the server's learning rate").above_zero(),
    SettingOf::new("beta1", Some(0.9), "decay of the first moment").below(1.0),
    SettingOf::new("beta2", Some(0.99), "decay of the second moment").below(1.0),
    SettingOf::new("tau", Some(1e-3), "least root of the second moment").above_zero(),
    RATE,
];

impl MethodName {
    /// All of them, in the order that they are told in.
    pub const ALL: [Self; 19] = [
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
        matches!(self, Self::Fedmd | Self::Fedhkt)
    }

    /// Whether it sees images by a network that is not trained: see [`MethodSpec::on_features`].
    pub fn needs_features(self) -> bool {
        matches!(self, Self::Fedpft)
    }

    /// Whether clients train in rounds.
    pub fn is_of_rounds(self) -> bool {
        self.settings().contains(&RATE)
    }

    /// What it may be told.
    pub fn settings(self) -> &'static [SettingOf] {
        const PROXIMAL: [SettingOf; 2] = [
            SettingOf::new(
                "mu",
                Some(0.01),
                "weight of the distance to the global model",
            ),
            RATE,
        ];
        const CONTRAST: [SettingOf; 3] = [
            SettingOf::new("mu", Some(1.0), "weight of the contrast"),
            SettingOf::new("temperature", Some(0.5), "temperature of the contrast").above_zero(),
            RATE,
        ];
        const PROTOTYPES: [SettingOf; 2] = [
            SettingOf::new("lambda", Some(1.0), "weight of the distance to prototypes"),
            RATE,
        ];
        const PUBLIC: SettingOf = SettingOf::new(
            "public-images",
            Some(1000.0),
            "public images of a round, drawn anew each time",
        )
        .above_zero()
        .whole();
        const SOFT: SettingOf = SettingOf::new(
            "temperature",
            Some(1.0),
            "at which probabilities are softened in learning from them",
        )
        .above_zero();
        const ANSWERS: [SettingOf; 3] = [PUBLIC, SOFT, RATE];
        const HIERARCHY: [SettingOf; 4] = [
            SettingOf::new("clusters", Some(2.0), "clusters of similar clients")
                .above_zero()
                .whole(),
            PUBLIC,
            SOFT,
            RATE,
        ];
        const LEVEL: SettingOf = SettingOf::new(
            "level",
            None,
            "how much a prompt tells, in place of --level",
        )
        .words(LEVELS);
        const ONE_SHOT: [SettingOf; 1] = [LEVEL];
        const FOLLOWED: [SettingOf; 4] = [
            LEVEL,
            SettingOf::new(
                "rounds",
                Some(5.0),
                "rounds after the one shot, in place of --rounds",
            )
            .above_zero()
            .below(1e6)
            .whole(),
            SettingOf::new(
                "server-epochs",
                Some(0.0),
                "passes over the synthetic images at the server after each round",
            )
            .below(1e6)
            .whole(),
            RATE,
        ];
        const MIXTURES: [SettingOf; 1] = [SettingOf::new(
            "components",
            Some(10.0),
            "Gaussians in the mixture of a class at most; fewer where it has less than two images for each",
        )
        .above_zero()
        .whole()];
        match self {
            Self::Fgl | Self::Fused => &ONE_SHOT,
            Self::FglRounds => &FOLLOWED,
            Self::ZeroUpload | Self::Centralised | Self::Local | Self::Majority | Self::Chance => {
                &[]
            }
            Self::Fedpft => &MIXTURES,
            Self::Fedmd => &ANSWERS,
            Self::Fedhkt => &HIERARCHY,
            Self::Fedavg | Self::Scaffold => &[RATE],
            Self::Fedprox => &PROXIMAL,
            Self::Fedadam | Self::Fedyogi => &ADAPTIVE,
            Self::Moon => &CONTRAST,
            Self::Fedproto | Self::Fedtgp => &PROTOTYPES,
        }
    }
}

impl fmt::Display for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A method and what it is told: `NAME[:SETTING=VALUE]...`.
#[derive(Debug, Clone, PartialEq)]
pub struct MethodSpec {
    /// The method.
    pub name: MethodName,
    settings: BTreeMap<&'static str, f64>,
}

/// Why a text names no method.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SpecError(String);

impl From<MethodName> for MethodSpec {
    fn from(name: MethodName) -> Self {
        Self {
            name,
            settings: BTreeMap::new(),
        }
    }
}

impl FromStr for MethodSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let mut parts = text.split(':');
        let asked = parts.next().unwrap_or_default();
        let found = MethodName::ALL.into_iter().find(|m| m.name() == asked);
        let Some(name) = found else {
            let names = MethodName::ALL.map(MethodName::name).join(", ");
            return Err(SpecError(format!("no method {asked:?}; there are {names}")));
        };
        let mut spec = Self::from(name);
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let known = name.settings().iter().find(|setting| setting.name == key);
            let Some(setting) = known else {
                let names: Vec<&str> = name.settings().iter().map(|s| s.name).collect();
                let has = if names.is_empty() {
                    "it has none".to_owned()
                } else {
                    format!("it has {}", names.join(", "))
                };
                return Err(SpecError(format!("{name} has no setting {key:?}; {has}")));
            };
            let Some(number) = setting.read(value) else {
                let range = setting.range(name);
                return Err(SpecError(format!("{name}: {key} is {value:?}; {range}")));
            };
            if spec.settings.insert(setting.name, number).is_some() {
                return Err(SpecError(format!(
                    "{name}: {key} is said twice; say it once"
                )));
            }
        }
        Ok(spec)
    }
}

impl fmt::Display for MethodSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        let said = self.name.settings().iter().filter_map(|setting| {
            let value = self.settings.get(setting.name)?;
            Some((setting.name, setting.said(*value)))
        });
        said.collect::<BTreeMap<_, _>>()
            .iter()
            .try_for_each(|(key, value)| write!(f, ":{key}={value}"))
    }
}

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
            }),
            _ => Box::new(one_shot),
        };
        Box::new(Named {
            name: self.to_string(),
            method,
        })
    }

    /// How much a prompt tells, where it is said.
    pub fn level(&self) -> Option<Level> {
        let place = *self.settings.get("level")? as usize;
        Level::ALL.get(place).copied()
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

    /// A setting's value, or its default.
    fn get(&self, key: &str) -> f64 {
        let default = || {
            let setting = self.name.settings().iter().find(|s| s.name == key);
            setting.and_then(|setting| setting.default).unwrap_or(0.0)
        };
        self.settings.get(key).copied().unwrap_or_else(default)
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

    fn run(&self, world: &World<'_>, probe: &mut dyn Probe) -> Result<Trained> {
        self.method.run(world, probe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read_and_said_again() {
        for text in [
            "fedavg",
            "fedprox:mu=0.5",
            "fedyogi:beta1=0:server-rate=0.1",
            "moon:learning-rate=0.02:mu=5",
            "fgl:level=instance",
            "fgl-rounds:rounds=3:server-epochs=2",
        ] {
            assert_eq!(text.parse::<MethodSpec>().unwrap().to_string(), text);
        }
        let spec: MethodSpec = "fedprox".parse().unwrap();
        assert_eq!(spec.get("mu"), 0.01);
        let spec: MethodSpec = "fedprox:mu=0".parse().unwrap();
        assert_eq!(spec.get("mu"), 0.0);
    }

    #[test]
    fn levels_are_those_of_prompts() {
        assert_eq!(Level::ALL.map(Level::as_str), LEVELS);
        for level in Level::ALL {
            let spec: MethodSpec = format!("fgl:level={level}").parse().unwrap();
            assert_eq!(spec.level(), Some(level));
        }
        assert_eq!(MethodSpec::from(MethodName::Fgl).level(), None);
    }

    #[test]
    fn what_means_nothing_is_refused_with_what_would() {
        for (text, part) in [
            ("fedsgd", "there are fgl, fgl-rounds, fused"),
            ("fedavg:mu=1", "it has learning-rate"),
            ("chance:mu=1", "it has none"),
            ("fedprox:mu=-1", "from 0"),
            ("fedprox:mu", "from 0"),
            ("fedprox:mu=nan", "from 0"),
            ("fedadam:beta2=1", "below 1"),
            ("moon:temperature=0", "above 0"),
            ("fedprox:mu=1:mu=1", "twice"),
            ("moon:temperature=1e-50", "above 0"),
            ("fedprox:mu=1e300", "from 0"),
            ("fedhkt:clusters=1.5", "a whole number above 0"),
            ("fedpft:components=0", "as fedpft:components=10"),
            (
                "fgl:level=1",
                "give class or domain or instance, as fgl:level=class",
            ),
            ("fgl-rounds:rounds=0", "a whole number above 0"),
            ("fgl-rounds:rounds=1e19", "below 1000000"),
            ("zero-upload:level=class", "it has none"),
        ] {
            let told = text.parse::<MethodSpec>().unwrap_err().to_string();
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn every_method_has_a_card_under_its_name() {
        for name in MethodName::ALL {
            let budget = Budget {
                rounds: 2,
                local_epochs: 1,
                epochs: 3,
                participation: Participation::FULL,
            };
            let method = MethodSpec::from(name).method(&budget);
            let takes_more = name.is_generative() || name.needs_features();
            assert_eq!(method.is_none(), takes_more);
            if let Some(method) = method {
                assert_eq!(method.card().name, name.name());
                assert!(!method.card().description.is_empty());
            }
        }
    }
}
