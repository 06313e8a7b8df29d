//! A round on the simulated clock.

use super::clock::{Effort, SimulatedClock};
use crate::methods::World;
use promptfed_prompts::ledger::Direction;

/// A round of a run; where nothing is simulated it does nothing.
pub(crate) struct SimulatedRound<'a> {
    world: &'a World<'a>,
    clock: Option<&'a SimulatedClock>,
    start: f64,
    /// What each client had received and sent before.
    before: Vec<[u64; 2]>,
}

impl<'a> SimulatedRound<'a> {
    /// It begins now, after all that has crossed by now.
    pub(crate) fn begin(world: &'a World<'_>) -> SimulatedRound<'a> {
        let clock = world.simulated;
        SimulatedRound {
            clock,
            start: clock.map_or(0.0, SimulatedClock::now),
            before: clock.map_or_else(Vec::new, |_| crossed(world)),
            world,
        }
    }

    /// Every client has what was sent to it since the round began.
    pub(crate) fn received(&self) {
        let Some(clock) = self.clock else { return };
        let slowest = self
            .efforts()
            .into_iter()
            .enumerate()
            .map(|(client, effort)| {
                let only = Effort {
                    down: effort.down,
                    ..Effort::default()
                };
                clock.seconds(client, only)
            });
        clock.set(self.start + slowest.fold(0.0, f64::max));
    }

    /// Whether the server has gone on before it heard of a client, which has sent what it sends of this round after training on so many images.
    pub(crate) fn is_late(&self, client: usize, samples: u64) -> bool {
        let Some(clock) = self.clock else {
            return false;
        };
        clock.is_late(clock.seconds(client, self.effort(client, samples)))
    }

    /// The round ends: when the last of `trained`, clients with the images they trained on, was heard of or the deadline has passed, and the
    /// server has done its work, which takes so long beside what each round takes. What the server sends arrives before it sends more, so that
    /// no deadline makes a round shorter than its download.
    pub(crate) fn end(&self, trained: &[(usize, u64)], server: f64) {
        let deadline = self.clock.and_then(|clock| clock.simulation().deadline);
        self.end_within(deadline, trained, server);
    }

    /// The same of a method that uses what all of its clients send, whenever it comes: no deadline ends the round.
    pub(crate) fn end_of_all(&self, trained: &[(usize, u64)], server: f64) {
        self.end_within(None, trained, server);
    }

    fn end_within(&self, deadline: Option<f64>, trained: &[(usize, u64)], server: f64) {
        let Some(clock) = self.clock else { return };
        self.received();
        let efforts = self.efforts();
        let slowest = efforts.iter().enumerate().map(|(client, effort)| {
            let samples = trained.iter().filter(|(index, _)| *index == client);
            let effort = Effort {
                samples: samples.map(|(_, samples)| samples).sum(),
                ..*effort
            };
            // Who only received is not waited for.
            let counts = effort.samples > 0 || effort.up > 0;
            if counts {
                clock.seconds(client, effort)
            } else {
                0.0
            }
        });
        let waited = slowest.fold(0.0, f64::max);
        let waited = deadline.map_or(waited, |deadline| waited.min(deadline));
        // All of this round's models have arrived by now.
        let heard = clock.now().max(self.start + waited);
        clock.set(heard + clock.simulation().server.round + server);
    }

    /// A round of one exchange ends, of which all bytes are counted: clients sent, the server worked so long, and clients received what came of it.
    pub(crate) fn ends_one_shot(&self, server: f64) {
        let Some(clock) = self.clock else { return };
        let slowest = |of: fn(Effort) -> Effort| {
            let each = self.efforts().into_iter().enumerate();
            let seconds = each.map(|(client, effort)| clock.seconds(client, of(effort)));
            seconds.fold(0.0, f64::max)
        };
        let only_up = slowest(|effort| Effort { down: 0, ..effort });
        let only_down = slowest(|effort| Effort { up: 0, ..effort });
        let work = clock.simulation().server.round + server;
        clock.set(self.start + only_up + work + only_down);
    }

    /// Seconds of a server that makes so many images and trains on so many, as often as it does.
    pub(crate) fn of_server(&self, made: u64, trained_on: u64) -> f64 {
        let speed = self.clock.map(|clock| clock.simulation().server);
        speed.map_or(0.0, |speed| {
            made as f64 * speed.image + trained_on as f64 * speed.sample
        })
    }

    fn efforts(&self) -> Vec<Effort> {
        let clients = 0..self.before.len();
        clients.map(|client| self.effort(client, 0)).collect()
    }

    fn effort(&self, client: usize, samples: u64) -> Effort {
        let (all, before) = (self.world.clients(), self.before.get(client));
        let (Some(of), Some(before)) = (all.get(client), before) else {
            return Effort::default();
        };
        let since = |way, before: u64| {
            let now = self.world.channel.of_client(&of.name, way);
            now.saturating_sub(before)
        };
        Effort {
            down: since(Direction::Down, before[0]),
            samples,
            up: since(Direction::Up, before[1]),
        }
    }
}

/// What each client has received and sent so far.
fn crossed(world: &World<'_>) -> Vec<[u64; 2]> {
    let clients = world.clients().iter();
    clients
        .map(|client| {
            [Direction::Down, Direction::Up].map(|way| world.channel.of_client(&client.name, way))
        })
        .collect()
}
