//! Methods by name, as the command line and plans say them: `fedprox:mu=0.1`.

mod build;
mod name;
mod setting;
mod settings;

pub use build::Budget;
pub use name::MethodName;
pub use setting::SettingOf;

use promptfed_prompts::Level;
use promptfed_synth::fuse::select::Mode;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// A method and what it is told: `NAME[:SETTING=VALUE]...`.
#[derive(Debug, Clone, PartialEq)]
pub struct MethodSpec {
    /// The method.
    pub name: MethodName,
    settings: BTreeMap<&'static str, f64>,
}

/// What `fused` is told of how it chooses images; nothing of a setting is what all are told.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ChoosingSpec {
    /// The selection.
    pub select: Option<Mode>,
    /// Whether quotas follow the transfer between task models.
    pub by_transfer: Option<bool>,
    /// Times that weights are adjusted; 0 for none.
    pub adjust_weights: Option<u32>,
    /// The part of votes in labels; 0 for none.
    pub soft_labels: Option<f64>,
    /// The share of what is made that is trained on, where as many images are made as by one engine alone.
    pub generated_share: Option<f64>,
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
        let told = spec.choosing();
        let keeps_some = told.generated_share.is_some() && told.select != Some(Mode::All);
        if spec.settings.contains_key("keep") && !keeps_some {
            return Err(SpecError(format!(
                "{name}: keep has no effect without budget=generated, nor with select=all; leave it out"
            )));
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

impl MethodSpec {
    /// How much a prompt tells, where it is said.
    pub fn level(&self) -> Option<Level> {
        let place = *self.settings.get("level")? as usize;
        Level::ALL.get(place).copied()
    }

    /// Which engine it has alone, counted from 0: the first unless said.
    pub fn engine(&self) -> usize {
        (self.get("engine") as usize).saturating_sub(1)
    }

    /// What it says of how images are chosen.
    pub fn choosing(&self) -> ChoosingSpec {
        let said = |key: &str| self.settings.get(key).copied();
        ChoosingSpec {
            select: said("select").and_then(|place| {
                let name = Mode::NAMES.get(place as usize)?;
                name.parse().ok()
            }),
            by_transfer: said("quotas").map(|place| place > 0.0),
            adjust_weights: said("adjust-weights").map(|times| times as u32),
            soft_labels: said("soft-labels"),
            generated_share: (said("budget") == Some(1.0)).then(|| self.get("keep")),
        }
    }

    /// Whether it is told more than how much a prompt tells.
    pub fn says_how_to_choose(&self) -> bool {
        self.choosing() != ChoosingSpec::default()
    }

    /// Whether it trains at the recipe's learning rate: it learns by steps, and is told no rate of its own.
    pub fn takes_rate(&self) -> bool {
        let learns_by_steps = self.name.is_of_rounds() || !self.name.needs_features();
        let is_told = self.settings.contains_key(settings::RATE.name);
        learns_by_steps && !self.name.trains_nothing() && !is_told
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

#[cfg(test)]
mod tests {
    use super::settings::LEVELS;
    use super::*;
    use crate::methods::Participation;

    #[test]
    fn what_is_said_is_read_and_said_again() {
        for text in [
            "fedavg",
            "fedprox:mu=0.5",
            "fedyogi:beta1=0:server-rate=0.1",
            "moon:learning-rate=0.02:mu=5",
            "fgl:level=instance",
            "fgl-rounds:rounds=3:server-epochs=2",
            "fgl:engine=2",
            "fused:budget=generated:keep=0.75:quotas=transfer:select=influence+cartography",
        ] {
            assert_eq!(text.parse::<MethodSpec>().unwrap().to_string(), text);
        }
        let spec: MethodSpec = "fedprox".parse().unwrap();
        assert_eq!(spec.get("mu"), 0.01);
        let spec: MethodSpec = "fedprox:mu=0".parse().unwrap();
        assert_eq!(spec.get("mu"), 0.0);
    }

    #[test]
    fn what_fused_is_told_is_read() {
        let of = |text: &str| text.parse::<MethodSpec>().unwrap();
        assert!(!of("fused").says_how_to_choose() && of("fgl").engine() == 0);
        assert_eq!(of("fgl:engine=3").engine(), 2);
        let told = of(
            "fused:adjust-weights=3:budget=generated:quotas=none:select=diversity:soft-labels=0.4",
        );
        let expected = ChoosingSpec {
            select: Some(Mode::Diversity),
            by_transfer: Some(false),
            adjust_weights: Some(3),
            soft_labels: Some(0.4),
            generated_share: Some(0.5),
        };
        assert_eq!(told.choosing(), expected);
        assert_eq!(
            of("fused:budget=trained-on").choosing().generated_share,
            None
        );
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
    fn who_learns_by_steps_takes_a_rate_but_where_it_is_told_one() {
        for (text, takes) in [
            ("fedavg", true),
            ("fgl:level=class", true),
            ("local", true),
            ("fedavg:learning-rate=0.1", false),
            ("chance", false),
            ("fedpft", false),
        ] {
            let spec: MethodSpec = text.parse().unwrap();
            assert_eq!(spec.takes_rate(), takes, "{text}");
        }
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
            ("fgl:engine=0", "a whole number above 0"),
            ("fused:select=best", "give all or random"),
            ("fused:soft-labels=1", "below 1"),
            ("fused:keep=0.5", "without budget=generated"),
            (
                "fused:budget=generated:keep=0.5:select=all",
                "nor with select=all",
            ),
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
