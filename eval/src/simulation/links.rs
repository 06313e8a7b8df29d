//! How fast a client's link is.

use super::{SimulationError, parts};
use std::fmt;
use std::str::FromStr;

/// A link's speed in bytes a second, each way; above 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Links {
    /// From a client to the server.
    pub up: f64,
    /// From the server to a client.
    pub down: f64,
}

const EXAMPLE: &str = "up=1MB,down=10MB";

/// Units of bytes, the longest first among those that end alike.
const UNITS: [(&str, f64); 8] = [
    ("KiB", 1024.0),
    ("MiB", 1024.0 * 1024.0),
    ("GiB", 1024.0 * 1024.0 * 1024.0),
    ("kB", 1e3),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("B", 1.0),
];

/// `up=1MB,down=10MB`: bytes a second, with or without a unit.
impl FromStr for Links {
    type Err = SimulationError;

    fn from_str(text: &str) -> Result<Self, SimulationError> {
        let (mut up, mut down) = (None, None);
        for (name, value) in parts(text, &["up", "down"], EXAMPLE)? {
            let speed = speed(value).ok_or_else(|| {
                SimulationError(format!(
                    "{name} is {value:?}; give bytes a second above 0, with B, kB, MB, GB, KiB, MiB or GiB behind it, as {EXAMPLE}"
                ))
            })?;
            if name == "up" {
                up = Some(speed);
            } else {
                down = Some(speed);
            }
        }
        match (up, down) {
            (Some(up), Some(down)) => Ok(Self { up, down }),
            _ => Err(SimulationError(format!(
                "say how fast links are both ways, as {EXAMPLE}"
            ))),
        }
    }
}

fn speed(text: &str) -> Option<f64> {
    let text = text.strip_suffix("/s").unwrap_or(text);
    let unit = UNITS.iter().find(|(unit, _)| text.ends_with(unit));
    let (number, factor) = match unit {
        Some((unit, factor)) => (text.strip_suffix(unit)?, *factor),
        None => (text, 1.0),
    };
    let speed = number.trim().parse::<f64>().ok()? * factor;
    (speed.is_finite() && speed > 0.0).then_some(speed)
}

impl fmt::Display for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "up={},down={}", self.up, self.down)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_have_units() {
        let of = |text: &str| text.parse::<Links>().map(|links| (links.up, links.down));
        assert_eq!(of("up=1MB,down=10MB"), Ok((1e6, 1e7)));
        assert_eq!(of("down=2KiB/s, up=300"), Ok((300.0, 2048.0)));
        assert_eq!(of("up=1.5kB,down=1GB"), Ok((1500.0, 1e9)));
        let said: Links = "up=1MB,down=10MB".parse().unwrap();
        assert_eq!(said.to_string().parse(), Ok(said));
        for wrong in [
            "",
            "up=1MB",
            "up=0,down=1",
            "up=-1,down=1",
            "up=1,down=nan",
            "up=1,up=2,down=1",
            "up=1,down=1,across=1",
            "up=1 furlong,down=1",
            "up=inf,down=1",
        ] {
            let told = of(wrong).unwrap_err().to_string();
            assert!(told.contains("up=1MB,down=10MB"), "{wrong}: {told}");
        }
    }
}
