//! A simulated server: a scheduler that can be lost, and a ledger that cannot.

use std::collections::BTreeMap;

use promptfed_prompts::ContentHash;
use promptfed_synth::queue::{
    Fence, Lease, MadeObject, Moment, Needs, Offer, Policy, Scheduler, Shard, ShardId, Stale,
    State, WorkerId,
};

/// What a worker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Message {
    Ask,
    Extend(ShardId, Fence),
    Complete(ShardId, Fence),
    Fail(ShardId, Fence),
}

/// What the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Answer {
    Granted(ShardId, Fence),
    Nothing,
    Extended(ShardId, Fence),
    Taken(ShardId, Fence),
    Stale(ShardId, Fence),
}

/// What workers of a kind are asked for: 0 or 1.
pub(super) fn needs(kind: usize) -> Needs {
    Needs {
        engine: Some(["pocket", "sd"][kind % 2].to_owned()),
        ..Needs::default()
    }
}

fn offer(kind: usize) -> Offer {
    Offer {
        engine: ["pocket", "sd"][kind % 2].to_owned(),
        version: "1".into(),
        weights_hash: ContentHash::of(b"weights"),
        settings: BTreeMap::new(),
    }
}

/// What is made of a shard, whoever draws it.
pub(super) fn content(shard: ShardId) -> ContentHash {
    ContentHash::of(&shard.to_le_bytes())
}

pub(super) struct Server {
    policy: Policy,
    /// What is in memory; none while the server is down.
    scheduler: Option<Scheduler>,
    /// What is on the disk.
    pub(super) ledger: BTreeMap<ShardId, (usize, Shard)>,
    offers: [Offer; 2],
    /// Shards that are neither done nor set aside.
    pub(super) open: usize,
    /// The fence under which an object of a shard was taken.
    accepted: BTreeMap<ShardId, Fence>,
    pub(super) messages: u64,
    pub(super) writes: u64,
}

impl Server {
    pub(super) fn new(policy: Policy, shards: &[(ShardId, usize, u32)]) -> Self {
        let start = Moment::ZERO;
        let row =
            |&(id, kind, images): &(ShardId, usize, u32)| (id, (kind, Shard::new(images, start)));
        let mut server = Self {
            policy,
            scheduler: None,
            ledger: shards.iter().map(row).collect(),
            offers: [offer(0), offer(1)],
            open: shards.len(),
            accepted: BTreeMap::new(),
            messages: 0,
            writes: 0,
        };
        server.start(start);
        server
    }

    /// Everything in memory is lost.
    pub(super) fn stop(&mut self) {
        self.scheduler = None;
    }

    /// Begins from what is on the disk.
    pub(super) fn start(&mut self, now: Moment) {
        let rows = self.ledger.iter();
        let rows = rows.map(|(id, (kind, shard))| (*id, needs(*kind), shard.clone()));
        self.scheduler = Some(Scheduler::restore(self.policy, rows, now));
    }

    /// Answers a message; not while the server is down.
    ///
    /// # Errors
    /// A shard of which two objects were taken.
    pub(super) fn hear(
        &mut self,
        worker: WorkerId,
        kind: usize,
        message: Message,
        now: Moment,
    ) -> Result<Option<Answer>, String> {
        let Some(scheduler) = &mut self.scheduler else {
            return Ok(None);
        };
        self.messages += 1;
        let lapsed = scheduler.advance(now);
        let told =
            |answer: Result<Answer, Stale>, id, fence| answer.unwrap_or(Answer::Stale(id, fence));
        let (answer, changed) = match message {
            Message::Ask => match scheduler.lease(worker, &self.offers[kind % 2], now) {
                Some((id, Lease { fence, .. })) => (Answer::Granted(id, fence), Some(id)),
                None => (Answer::Nothing, None),
            },
            // What keeps a lease alive is not written down.
            Message::Extend(id, fence) => {
                let extended = scheduler.extend(worker, id, fence, now);
                (
                    told(extended.map(|_| Answer::Extended(id, fence)), id, fence),
                    None,
                )
            }
            Message::Complete(id, fence) => {
                let made = MadeObject {
                    fence,
                    hash: content(id),
                };
                let taken = scheduler.complete(id, made);
                if taken.is_ok() && *self.accepted.entry(id).or_insert(fence) != fence {
                    return Err(format!("two objects of shard {id} were taken"));
                }
                (
                    told(taken.map(|()| Answer::Taken(id, fence)), id, fence),
                    Some(id),
                )
            }
            Message::Fail(id, fence) => {
                let failed = scheduler.fail(worker, id, fence, "it cannot be drawn", now);
                (
                    told(failed.map(|()| Answer::Taken(id, fence)), id, fence),
                    Some(id),
                )
            }
        };
        for id in lapsed.into_iter().chain(changed) {
            self.write(id);
        }
        Ok(Some(answer))
    }

    fn write(&mut self, id: ShardId) {
        let shard = self.scheduler.as_ref().and_then(|s| s.get(id));
        let (Some(shard), Some((_, there))) = (shard, self.ledger.get_mut(&id)) else {
            return;
        };
        if there == shard {
            return;
        }
        let is_open = |shard: &Shard| !matches!(shard.state, State::Done(_) | State::SetAside);
        self.open += usize::from(is_open(shard));
        self.open -= usize::from(is_open(there));
        self.writes += 1;
        *there = shard.clone();
    }
}
