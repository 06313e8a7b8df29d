use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{
    Agreement, All, Ambiguous, Cartography, Diversity, Duplicates, Easy, Influence,
    InfluenceOfCartography, Outliers, Random, Select,
};
use crate::fuse::signals::Sign;

/// A way to choose images, by its name: `NAME` or `NAME:NUMBER` for those with a number of their own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Mode {
    /// `all`: everything, whatever the number asked for.
    All,
    /// `random`
    Random,
    /// `easy`: lowest variability between the backends' task models.
    Easy,
    /// `ambiguous`: highest variability.
    Ambiguous,
    /// `cartography[:SHARE]`: easy ones and that share of ambiguous ones.
    Cartography {
        /// Share of ambiguous images, 0 to 1.
        ambiguous: f64,
    },
    /// `influence`, or `influence-largest` for the other sign.
    Influence {
        /// Which end is kept.
        sign: Sign,
    },
    /// `influence+cartography`, or `influence-largest+cartography`.
    InfluenceOfCartography {
        /// Which end is kept.
        sign: Sign,
    },
    /// `agreement[:DOSE]`: random without those that the other backends believe least.
    Agreement {
        /// Share that is left out, 0 to 1.
        dose: f64,
    },
    /// `outliers[:DOSE]`: random without those that look like no class.
    Outliers {
        /// Share that is left out, 0 to 1.
        dose: f64,
    },
    /// `duplicates[:SIMILARITY]`: random without near copies.
    Duplicates {
        /// Cosine similarity above which two are copies, 0 to 1.
        similarity: f64,
    },
    /// `diversity`: far from each other.
    Diversity,
}

impl Mode {
    /// The names of all modes.
    pub const NAMES: [&str; 13] = [
        "all",
        "random",
        "easy",
        "ambiguous",
        "cartography",
        "influence",
        "influence-largest",
        "influence+cartography",
        "influence-largest+cartography",
        "agreement",
        "outliers",
        "duplicates",
        "diversity",
    ];

    /// What chooses by it.
    pub fn select(self) -> Box<dyn Select> {
        match self {
            Self::All => Box::new(All),
            Self::Random => Box::new(Random),
            Self::Easy => Box::new(Easy),
            Self::Ambiguous => Box::new(Ambiguous),
            Self::Cartography { ambiguous } => Box::new(Cartography { ambiguous }),
            Self::Influence { sign } => Box::new(Influence { sign }),
            Self::InfluenceOfCartography { sign } => Box::new(InfluenceOfCartography {
                cartography: Cartography::default(),
                influence: Influence { sign },
            }),
            Self::Agreement { dose } => Box::new(Agreement { dose }),
            Self::Outliers { dose } => Box::new(Outliers { dose }),
            Self::Duplicates { similarity } => Box::new(Duplicates { similarity }),
            Self::Diversity => Box::new(Diversity),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signed = |sign: Sign| match sign {
            Sign::Helpful => "influence",
            Sign::Largest => "influence-largest",
        };
        match *self {
            Self::All => f.write_str("all"),
            Self::Random => f.write_str("random"),
            Self::Easy => f.write_str("easy"),
            Self::Ambiguous => f.write_str("ambiguous"),
            Self::Cartography { ambiguous } => write!(f, "cartography:{ambiguous}"),
            Self::Influence { sign } => f.write_str(signed(sign)),
            Self::InfluenceOfCartography { sign } => write!(f, "{}+cartography", signed(sign)),
            Self::Agreement { dose } => write!(f, "agreement:{dose}"),
            Self::Outliers { dose } => write!(f, "outliers:{dose}"),
            Self::Duplicates { similarity } => write!(f, "duplicates:{similarity}"),
            Self::Diversity => f.write_str("diversity"),
        }
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, number) = match text.split_once(':') {
            Some((name, number)) => (name, Some(number)),
            None => (text, None),
        };
        let or = |default: f64| match number {
            None => Ok(default),
            Some(number) => match number.parse::<f64>() {
                Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
                _ => Err(format!("{number:?} in {text:?} is no number from 0 to 1")),
            },
        };
        let mode = match name {
            "cartography" => Self::Cartography {
                ambiguous: or(Cartography::default().ambiguous)?,
            },
            "agreement" => Self::Agreement {
                dose: or(Agreement::default().dose)?,
            },
            "outliers" => Self::Outliers {
                dose: or(Outliers::default().dose)?,
            },
            "duplicates" => Self::Duplicates {
                similarity: or(Duplicates::default().similarity)?,
            },
            _ if number.is_some() => {
                return Err(format!(
                    "{name:?} takes no number; leave out what follows the colon"
                ));
            }
            "all" => Self::All,
            "random" => Self::Random,
            "easy" => Self::Easy,
            "ambiguous" => Self::Ambiguous,
            "diversity" => Self::Diversity,
            "influence" => Self::Influence {
                sign: Sign::Helpful,
            },
            "influence-largest" => Self::Influence {
                sign: Sign::Largest,
            },
            "influence+cartography" => Self::InfluenceOfCartography {
                sign: Sign::Helpful,
            },
            "influence-largest+cartography" => Self::InfluenceOfCartography {
                sign: Sign::Largest,
            },
            _ => {
                return Err(format!(
                    "unknown selection {name:?}; there are {}",
                    Self::NAMES.join(", ")
                ));
            }
        };
        Ok(mode)
    }
}

impl From<Mode> for String {
    fn from(mode: Mode) -> Self {
        mode.to_string()
    }
}

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_mistakes_are_answered() {
        for name in Mode::NAMES {
            let mode: Mode = name.parse().unwrap();
            assert_eq!(mode.to_string().parse::<Mode>().unwrap(), mode);
            assert_eq!(mode.to_string().split(':').next(), Some(name));
        }
        assert_eq!("agreement:0.2".parse(), Ok(Mode::Agreement { dose: 0.2 }));
        for (text, told) in [
            ("best", "there are all"),
            ("easy:1", "takes no number"),
            ("agreement:2", "from 0 to 1"),
            ("agreement:x", "from 0 to 1"),
        ] {
            let error = text.parse::<Mode>().unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
