//! Clients' links and computers, simulated: how long a method would take where they are slow.
//!
//! Nothing is read from a clock. Bytes are those that crossed; a client's seconds follow from the images it trains on, and the server's from its
//! rounds, its images and its training. The same seed gives the same seconds on every machine.

mod clock;
mod links;
mod round;
mod server_speed;
mod stragglers;

pub use clock::SimulatedClock;
pub use links::Links;
pub(crate) use round::SimulatedRound;
pub use server_speed::ServerSpeed;
pub use stragglers::Stragglers;

use std::fmt;

/// A text that says nothing that could be simulated, with what would.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SimulationError(String);

/// What is simulated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Simulation {
    /// Every client's link.
    pub links: Links,
    /// Seconds in which a client that is no straggler trains on one image once, above 0.
    pub sample_seconds: f64,
    /// Which clients are slower.
    pub stragglers: Option<Stragglers>,
    /// The server's work.
    pub server: ServerSpeed,
    /// Seconds after which the server goes on without clients of a round that it has not heard of; what it sent has arrived by then or is waited for.
    pub deadline: Option<f64>,
}

/// In words, with all that determines a simulated second.
impl fmt::Display for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (links, seconds) = (self.links, self.sample_seconds);
        write!(f, "simulated links {links}, {seconds} s an image")?;
        if let Some(stragglers) = self.stragglers {
            write!(f, ", stragglers {stragglers}")?;
        }
        if self.server != ServerSpeed::default() {
            write!(f, ", server {}", self.server)?;
        }
        match self.deadline {
            Some(deadline) => write!(f, ", deadline {deadline} s"),
            None => Ok(()),
        }
    }
}

/// The parts `NAME=VALUE` of a text, each name among `known` and once.
fn parts<'t>(
    text: &'t str,
    known: &[&'static str],
    example: &str,
) -> Result<Vec<(&'static str, &'t str)>, SimulationError> {
    let mut found: Vec<(&'static str, &str)> = Vec::new();
    for part in text.split(',') {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let name = known.iter().copied().find(|known| *known == name.trim());
        let Some(name) = name.filter(|name| found.iter().all(|(there, _)| there != name)) else {
            return Err(SimulationError(format!(
                "{part:?} is none of {}, each said once; give for example {example}",
                known.join(", ")
            )));
        };
        found.push((name, value.trim()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_all_that_determines_a_second() {
        let mut simulation = Simulation {
            links: "up=1MB,down=8MB".parse().unwrap(),
            sample_seconds: 0.01,
            stragglers: None,
            server: ServerSpeed::default(),
            deadline: None,
        };
        let plain = simulation.to_string();
        assert_eq!(
            plain,
            "simulated links up=1000000,down=8000000, 0.01 s an image"
        );
        simulation.stragglers = Some("0.2:5".parse().unwrap());
        simulation.server = "round=1".parse().unwrap();
        simulation.deadline = Some(60.0);
        assert_eq!(
            simulation.to_string(),
            format!("{plain}, stragglers 0.2:5, server round=1,image=0,sample=0, deadline 60 s")
        );
    }
}
