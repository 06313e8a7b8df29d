//! Which clients take part in a round, and which of them are heard of again.

use crate::{FederatedClient, seeds};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::fmt;

/// The share of the clients that are drawn for a round, McMahan et al. 2017's C, and of those that drop out of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Participation {
    /// Share of the clients that receive the model of a round, above 0 and at most 1; one at least.
    pub share: f64,
    /// Probability that a client which has received it is not heard of in this round, and what it began is lost; from 0 and below 1.
    pub dropout: f64,
}

impl Participation {
    /// Every client in every round.
    pub const FULL: Self = Self {
        share: 1.0,
        dropout: 0.0,
    };

    /// Whether every client is heard of in every round.
    pub fn is_full(self) -> bool {
        self.reaches_all() && self.dropout == 0.0
    }

    /// Whether every client receives the model of every round.
    pub fn reaches_all(self) -> bool {
        self.share >= 1.0
    }

    /// Who of `able` takes part in a round: drawn anew in each, alike for all methods.
    pub(super) fn draw(self, seed: u64, round: usize, able: &[usize]) -> Attendance {
        let mut rng = ChaCha8Rng::seed_from_u64(seeds::derive(seed, &format!("clients {round}")));
        let count = (self.share * able.len() as f64).round() as usize;
        let mut drawn = able.to_vec();
        if !self.reaches_all() {
            drawn.shuffle(&mut rng);
            drawn.truncate(count.max(1));
        }
        drawn.sort_unstable();
        let answers = |index| (index, !rng.random_bool(self.dropout.clamp(0.0, 1.0)));
        Attendance(drawn.into_iter().map(answers).collect())
    }
}

/// In words, behind a comma; nothing where all take part in all.
impl fmt::Display for Participation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.reaches_all() {
            write!(f, ", {} of the clients in each", self.share)?;
        }
        if self.dropout > 0.0 {
            write!(f, ", of which {} drop out", self.dropout)?;
        }
        Ok(())
    }
}

/// The clients of one round, and whether each sends something back.
pub(super) struct Attendance(BTreeMap<usize, bool>);

impl Attendance {
    /// Whether a client receives what the server sends.
    pub(super) fn receives(&self, client: usize) -> bool {
        self.0.contains_key(&client)
    }

    /// Who receives what the server sends.
    pub(super) fn names<'c>(
        &self,
        clients: &'c [FederatedClient],
    ) -> impl Iterator<Item = &'c str> {
        let receiving = self.0.keys().filter_map(|index| clients.get(*index));
        receiving.map(|client| client.name.as_str())
    }

    /// Whether it ends its work and sends it.
    pub(super) fn answers(&self, client: usize) -> bool {
        self.0.get(&client).is_some_and(|answers| *answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn so_many_of_the_able_take_part(seed: u64, round in 0..100_usize, clients in 1..60_usize, share in 0.01..1.0_f64) {
            let able: Vec<usize> = (0..clients).map(|i| 3 * i + 1).collect();
            let drawn = Participation { share, dropout: 0.0 }.draw(seed, round, &able);
            let took = (0..3 * clients).filter(|i| drawn.receives(*i)).collect::<Vec<_>>();
            prop_assert_eq!(took.len(), ((share * clients as f64).round() as usize).max(1));
            prop_assert!(took.iter().all(|i| able.contains(i) && drawn.answers(*i)));
        }
    }

    #[test]
    fn each_client_gets_its_turn_and_some_drop_out() {
        let able: Vec<usize> = (0..10).collect();
        let some = Participation {
            share: 0.3,
            dropout: 0.25,
        };
        let (mut turns, mut lost) = ([0; 10], 0);
        for round in 0..1000 {
            let drawn = some.draw(7, round, &able);
            for client in &able {
                turns[*client] += usize::from(drawn.receives(*client));
                lost += usize::from(drawn.receives(*client) && !drawn.answers(*client));
            }
        }
        // Binomial: 300 and 14.5, 750 and 23.7.
        assert!(turns.iter().all(|n| n.abs_diff(300) < 70), "{turns:?}");
        assert!(lost.abs_diff(750) < 110, "{lost}");
        let all = Participation::FULL.draw(7, 0, &able);
        assert!(able.iter().all(|client| all.answers(*client)));
    }

    #[test]
    fn it_is_said_where_not_all_take_part() {
        assert_eq!(Participation::FULL.to_string(), "");
        let some = Participation {
            share: 0.5,
            dropout: 0.1,
        };
        assert_eq!(
            some.to_string(),
            ", 0.5 of the clients in each, of which 0.1 drop out"
        );
    }
}
