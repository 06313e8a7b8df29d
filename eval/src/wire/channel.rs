//! The one way for anything to get from a client to the server or back.

use super::{Part, Payload};
use crate::Result;
use promptfed_prompts::ledger::{Direction, Ledger, PayloadKind};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counts every byte that crosses, by client, direction and kind.
#[derive(Debug, Default)]
pub struct Channel {
    ledger: Mutex<Ledger>,
}

impl Channel {
    /// Before anything crossed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a payload from a client to the server; what is returned is what arrives.
    ///
    /// # Errors
    /// What cannot be encoded, or not read again.
    pub fn up<P: Payload>(&self, client: &str, payload: &P) -> Result<P> {
        let parts = payload.encode()?;
        self.count(client, Direction::Up, &parts);
        P::decode(&parts)
    }

    /// Takes one payload from the server to every client of `clients`; what is returned is what arrives at each of them.
    ///
    /// # Errors
    /// As [`Channel::up`].
    pub fn down<'c, P: Payload>(
        &self,
        clients: impl IntoIterator<Item = &'c str>,
        payload: &P,
    ) -> Result<P> {
        let parts = payload.encode()?;
        for client in clients {
            self.count(client, Direction::Down, &parts);
        }
        P::decode(&parts)
    }

    /// Counts what crossed elsewhere, over sockets of its own.
    pub fn merge(&self, other: &Ledger) {
        self.ledger().merge(other);
    }

    /// Counts bytes that travel as they are, whatever they hold.
    pub fn raw(&self, client: &str, direction: Direction, kind: PayloadKind, bytes: u64) {
        self.ledger().record(client, direction, kind, bytes);
    }

    /// All bytes so far, both ways.
    pub fn total(&self) -> u64 {
        let ledger = self.ledger();
        let up = ledger.total(Direction::Up);
        up.saturating_add(ledger.total(Direction::Down))
    }

    /// All bytes so far of one client and one way.
    pub(crate) fn of_client(&self, client: &str, direction: Direction) -> u64 {
        self.ledger().total_of_client(client, direction)
    }

    /// What crossed.
    pub fn into_ledger(self) -> Ledger {
        self.ledger
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, client: &str, direction: Direction, parts: &[Part]) {
        let mut ledger = self.ledger();
        for part in parts {
            ledger.record(client, direction, part.kind, part.bytes.len() as u64);
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
