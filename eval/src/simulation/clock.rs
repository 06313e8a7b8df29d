//! A run's simulated time.

use super::Simulation;
use std::sync::{Mutex, PoisonError};

/// How much time has passed where links and computers are as they are simulated.
#[derive(Debug)]
pub struct SimulatedClock {
    simulation: Simulation,
    /// How many times as long each client takes to train.
    factors: Vec<f64>,
    now: Mutex<f64>,
}

/// What one client did in a round.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Effort {
    /// Bytes that it received.
    pub(super) down: u64,
    /// Images that it trained on, as often as it did.
    pub(super) samples: u64,
    /// Bytes that it sent.
    pub(super) up: u64,
}

impl SimulatedClock {
    /// Before anything happened, in a run with so many clients.
    pub(crate) fn new(simulation: Simulation, seed: u64, clients: usize) -> Self {
        let factors = simulation.stragglers.map(|s| s.factors(seed, clients));
        Self {
            factors: factors.unwrap_or_else(|| vec![1.0; clients]),
            simulation,
            now: Mutex::default(),
        }
    }

    /// What is simulated.
    pub fn simulation(&self) -> &Simulation {
        &self.simulation
    }

    /// Seconds since the run began.
    pub fn now(&self) -> f64 {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It never goes back.
    pub(super) fn set(&self, seconds: f64) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.max(seconds);
    }

    /// Seconds that a client takes: to receive, to train, to send.
    pub(super) fn seconds(&self, client: usize, effort: Effort) -> f64 {
        let Simulation {
            links,
            sample_seconds,
            ..
        } = self.simulation;
        let factor = self.factors.get(client).copied().unwrap_or(1.0);
        effort.down as f64 / links.down
            + effort.samples as f64 * sample_seconds * factor
            + effort.up as f64 / links.up
    }

    /// Whether the server has gone on before a client was heard of that takes so long.
    pub(super) fn is_late(&self, seconds: f64) -> bool {
        self.simulation.deadline.is_some_and(|most| seconds > most)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ServerSpeed;
    use super::*;

    #[test]
    fn a_clients_seconds_are_those_of_its_bytes_and_images() {
        let simulation = Simulation {
            links: "up=100,down=1kB".parse().unwrap(),
            sample_seconds: 0.5,
            stragglers: Some("1:3".parse().unwrap()),
            server: ServerSpeed::default(),
            deadline: Some(20.0),
        };
        let clock = SimulatedClock::new(simulation, 1, 2);
        let effort = Effort {
            down: 2000,
            samples: 8,
            up: 300,
        };
        // 2 s to receive, 8 images at 0.5 s three times as slowly, 3 s to send.
        assert_eq!(clock.seconds(0, effort), 2.0 + 12.0 + 3.0);
        assert!(!clock.is_late(20.0) && clock.is_late(20.1));
        clock.set(4.0);
        clock.set(3.0);
        assert_eq!(clock.now(), 4.0);
    }
}
