//! The bytes that crossed between clients and server, by client, direction and kind.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// Which way bytes went, seen from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From a client to the server.
    Up,
    /// From the server to a client.
    Down,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

/// What the bytes were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PayloadKind {
    /// Prompt sets in wire format.
    Prompts,
    /// A round's description with its label space.
    RoundSpec,
    /// Weights of a model.
    Model,
    /// SCAFFOLD's control variates, or changes of them.
    ControlVariates,
    /// Mean features of classes.
    Prototypes,
    /// Gaussian mixtures of the features of classes.
    Mixtures,
    /// What models say of public images.
    Logits,
    /// What models make of public images and captions.
    Representations,
    /// Images.
    Images,
    /// Everything else in a body: registrations, receipts, states, results, problems.
    Control,
    /// All bytes on the socket that are no body: request lines, headers, chunk sizes, TLS records.
    HttpFraming,
}

impl PayloadKind {
    /// Every kind, in the order of reports.
    pub const ALL: [Self; 11] = [
        Self::Prompts,
        Self::RoundSpec,
        Self::Model,
        Self::ControlVariates,
        Self::Prototypes,
        Self::Mixtures,
        Self::Logits,
        Self::Representations,
        Self::Images,
        Self::Control,
        Self::HttpFraming,
    ];
}

impl fmt::Display for PayloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prompts => "prompts",
            Self::RoundSpec => "round spec",
            Self::Model => "model",
            Self::ControlVariates => "control variates",
            Self::Prototypes => "prototypes",
            Self::Mixtures => "mixtures",
            Self::Logits => "logits",
            Self::Representations => "representations",
            Self::Images => "images",
            Self::Control => "control",
            Self::HttpFraming => "HTTP framing",
        })
    }
}

/// The bytes of one client, direction and kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerEntry {
    /// The client's name.
    pub client: String,
    /// Which way.
    pub direction: Direction,
    /// What.
    pub kind: PayloadKind,
    /// How many bytes.
    pub bytes: u64,
}

/// Bytes by client, direction and kind. Equal keys add up, so its size does not grow with the traffic.
///
/// Its JSON is the list of its [entries](Ledger::entries).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<LedgerEntry>", into = "Vec<LedgerEntry>")]
pub struct Ledger {
    bytes: BTreeMap<(String, Direction, PayloadKind), u64>,
}

impl Ledger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes; zero bytes leave no entry. Sums saturate at `u64::MAX`.
    pub fn record(&mut self, client: &str, direction: Direction, kind: PayloadKind, bytes: u64) {
        if bytes > 0 {
            let sum = self
                .bytes
                .entry((client.to_owned(), direction, kind))
                .or_default();
            *sum = sum.saturating_add(bytes);
        }
    }

    /// Adds all entries of another ledger.
    pub fn merge(&mut self, other: &Self) {
        for entry in other.entries() {
            self.record(&entry.client, entry.direction, entry.kind, entry.bytes);
        }
    }

    /// The entries, sorted by client, direction and kind.
    pub fn entries(&self) -> impl Iterator<Item = LedgerEntry> + '_ {
        self.bytes
            .iter()
            .map(|((client, direction, kind), bytes)| LedgerEntry {
                client: client.clone(),
                direction: *direction,
                kind: *kind,
                bytes: *bytes,
            })
    }

    /// The clients' names, sorted.
    pub fn clients(&self) -> BTreeSet<&str> {
        self.bytes
            .keys()
            .map(|(client, ..)| client.as_str())
            .collect()
    }

    /// All bytes in one direction.
    pub fn total(&self, direction: Direction) -> u64 {
        self.sum(|_, d, _| d == direction)
    }

    /// All bytes of one kind in one direction.
    pub fn total_of_kind(&self, direction: Direction, kind: PayloadKind) -> u64 {
        self.sum(|_, d, k| d == direction && k == kind)
    }

    /// All bytes of one client in one direction.
    pub fn total_of_client(&self, client: &str, direction: Direction) -> u64 {
        self.sum(|c, d, _| c == client && d == direction)
    }

    /// The bytes of one client, direction and kind.
    pub fn get(&self, client: &str, direction: Direction, kind: PayloadKind) -> u64 {
        self.sum(|c, d, k| c == client && d == direction && k == kind)
    }

    fn sum(&self, keep: impl Fn(&str, Direction, PayloadKind) -> bool) -> u64 {
        let kept = self
            .bytes
            .iter()
            .filter(|((client, direction, kind), _)| keep(client, *direction, *kind));
        kept.fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }
}

impl From<Vec<LedgerEntry>> for Ledger {
    fn from(entries: Vec<LedgerEntry>) -> Self {
        let mut ledger = Self::new();
        for entry in entries {
            ledger.record(&entry.client, entry.direction, entry.kind, entry.bytes);
        }
        ledger
    }
}

impl From<Ledger> for Vec<LedgerEntry> {
    fn from(ledger: Ledger) -> Self {
        ledger.entries().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = LedgerEntry> {
        let direction = prop_oneof![Just(Direction::Up), Just(Direction::Down)];
        let kind = proptest::sample::select(PayloadKind::ALL.to_vec());
        ("[a-c]", direction, kind, 0u64..1 << 40).prop_map(|(client, direction, kind, bytes)| {
            LedgerEntry {
                client,
                direction,
                kind,
                bytes,
            }
        })
    }

    proptest! {
        #[test]
        fn totals_agree_whichever_way_they_are_taken(entries in proptest::collection::vec(entry(), 0..40)) {
            let ledger = Ledger::from(entries.clone());
            for direction in [Direction::Up, Direction::Down] {
                let sum: u64 = entries.iter().filter(|e| e.direction == direction).map(|e| e.bytes).sum();
                prop_assert_eq!(ledger.total(direction), sum);
                let by_kind: u64 = PayloadKind::ALL.iter().map(|k| ledger.total_of_kind(direction, *k)).sum();
                prop_assert_eq!(by_kind, sum);
                let by_client: u64 = ledger.clients().iter().map(|c| ledger.total_of_client(c, direction)).sum();
                prop_assert_eq!(by_client, sum);
            }
        }

        #[test]
        fn merging_equals_recording_everything(a in proptest::collection::vec(entry(), 0..20), b in proptest::collection::vec(entry(), 0..20)) {
            let mut merged = Ledger::from(a.clone());
            merged.merge(&Ledger::from(b.clone()));
            let together = Ledger::from([a, b].concat());
            prop_assert_eq!(&merged, &together);
            let json = serde_json::to_string(&merged).unwrap();
            prop_assert_eq!(serde_json::from_str::<Ledger>(&json).unwrap(), together);
        }
    }
}
