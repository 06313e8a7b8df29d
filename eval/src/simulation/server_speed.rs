//! How long the server's work takes.

use super::{SimulationError, parts};
use std::fmt;
use std::str::FromStr;

/// The server's seconds; 0 of what is not said.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ServerSpeed {
    /// For each round: averaging, and what else there is.
    pub round: f64,
    /// For each image that it makes.
    pub image: f64,
    /// For each image that it trains on, once.
    pub sample: f64,
}

const EXAMPLE: &str = "round=0.5,image=0.2,sample=0.001";

/// `round=0.5,image=0.2,sample=0.001`, or some of them.
impl FromStr for ServerSpeed {
    type Err = SimulationError;

    fn from_str(text: &str) -> Result<Self, SimulationError> {
        let mut speed = Self::default();
        for (name, value) in parts(text, &["round", "image", "sample"], EXAMPLE)? {
            let seconds = value
                .parse()
                .ok()
                .filter(|s: &f64| s.is_finite() && *s >= 0.0);
            let seconds = seconds.ok_or_else(|| {
                SimulationError(format!(
                    "{name} is {value:?}; give seconds from 0, as {EXAMPLE}"
                ))
            })?;
            match name {
                "round" => speed.round = seconds,
                "image" => speed.image = seconds,
                _ => speed.sample = seconds,
            }
        }
        Ok(speed)
    }
}

impl fmt::Display for ServerSpeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            round,
            image,
            sample,
        } = self;
        write!(f, "round={round},image={image},sample={sample}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_takes_no_time() {
        let speed: ServerSpeed = "image=0.25".parse().unwrap();
        assert_eq!((speed.round, speed.image, speed.sample), (0.0, 0.25, 0.0));
        assert_eq!(speed.to_string().parse(), Ok(speed));
        for wrong in [
            "",
            "image",
            "image=-1",
            "image=nan",
            "image=1,image=2",
            "colour=1",
        ] {
            assert!(wrong.parse::<ServerSpeed>().is_err(), "{wrong}");
        }
    }
}
