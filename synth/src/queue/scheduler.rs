//! All shards of a queue in memory: which is next, whose lease ran out.
//!
//! Every change takes time in proportion to the logarithm of the number of shards.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    CHOICES, Fence, Lease, Load, MadeObject, Moment, Needs, Offer, Policy, Shard, ShardId, Stale,
    State, WorkerId,
};

/// The shards of one or more jobs.
#[derive(Clone, Debug)]
pub struct Scheduler {
    policy: Policy,
    shards: BTreeMap<ShardId, (usize, Shard)>,
    /// What the shards need, each once.
    needs: Vec<Needs>,
    /// Shards that may be given out, by what they need.
    ready: Vec<BTreeSet<ShardId>>,
    /// Shards that pause, by when they may be given out again.
    paused: BTreeSet<(Moment, ShardId)>,
    /// Shards that are drawn, by when their leases end.
    leased: BTreeSet<(Moment, ShardId)>,
}

impl Scheduler {
    /// A queue without shards.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            shards: BTreeMap::new(),
            needs: Vec::new(),
            ready: Vec::new(),
            paused: BTreeSet::new(),
            leased: BTreeSet::new(),
        }
    }

    /// A queue as a ledger has it. Leases end a whole lease from now, since what workers said meanwhile is not known.
    pub fn restore(
        policy: Policy,
        shards: impl IntoIterator<Item = (ShardId, Needs, Shard)>,
        now: Moment,
    ) -> Self {
        let mut scheduler = Self::new(policy);
        for (id, needs, mut shard) in shards {
            if let State::Leased(lease) = &mut shard.state {
                lease.until = now + policy.lease;
            }
            scheduler.insert(id, &needs, shard);
        }
        scheduler
    }

    /// Adds a shard. One of the same name stays as it is.
    pub fn add(&mut self, id: ShardId, images: u32, needs: &Needs, now: Moment) {
        if !self.shards.contains_key(&id) {
            self.insert(id, needs, Shard::new(images, now));
        }
    }

    fn insert(&mut self, id: ShardId, needs: &Needs, shard: Shard) {
        let kind = match self.needs.iter().position(|there| there == needs) {
            Some(kind) => kind,
            None => {
                self.needs.push(needs.clone());
                self.ready.push(BTreeSet::new());
                self.needs.len() - 1
            }
        };
        self.enter(id, kind, shard.state);
        self.shards.insert(id, (kind, shard));
    }

    /// Gives a worker the first shard that it can draw, or `None` where there is none now: one that has not failed on it before, where
    /// there is one among the first sixteen.
    pub fn lease(
        &mut self,
        worker: WorkerId,
        offer: &Offer,
        now: Moment,
    ) -> Option<(ShardId, Lease)> {
        self.advance(now);
        let fitting = self.needs.iter().zip(&self.ready);
        let fitting = fitting.filter(|(needs, _)| needs.unmet(offer).is_none());
        let mut first: Vec<ShardId> = fitting
            .flat_map(|(_, ready)| ready.iter().copied().take(CHOICES))
            .collect();
        first.sort_unstable();
        first.truncate(CHOICES);
        let fresh = first
            .iter()
            .find(|id| self.get(**id).is_some_and(|s| !s.failed_on(worker)));
        let id = *fresh.or(first.first())?;
        let policy = self.policy;
        let lease = self.change(id, |shard| shard.lease(worker, now, &policy))??;
        Some((id, lease))
    }

    /// Extends a lease.
    ///
    /// # Errors
    /// A lease that does not count any more.
    pub fn extend(
        &mut self,
        worker: WorkerId,
        id: ShardId,
        fence: Fence,
        now: Moment,
    ) -> Result<Lease, Stale> {
        let policy = self.policy;
        self.change(id, |shard| shard.extend(worker, fence, now, &policy))
            .ok_or(Stale)?
    }

    /// Takes what was made of a shard.
    ///
    /// # Errors
    /// A lease that does not count any more.
    pub fn complete(&mut self, id: ShardId, made: MadeObject) -> Result<(), Stale> {
        self.change(id, |shard| shard.complete(made)).ok_or(Stale)?
    }

    /// Takes note that a worker could not draw a shard.
    ///
    /// # Errors
    /// A lease that does not count any more.
    pub fn fail(
        &mut self,
        worker: WorkerId,
        id: ShardId,
        fence: Fence,
        reason: &str,
        now: Moment,
    ) -> Result<(), Stale> {
        let policy = self.policy;
        self.change(id, |shard| shard.fail(worker, fence, reason, now, &policy))
            .ok_or(Stale)?
    }

    /// Gives a shard back undrawn.
    ///
    /// # Errors
    /// A lease that does not count any more.
    pub fn release(&mut self, id: ShardId, fence: Fence, now: Moment) -> Result<(), Stale> {
        self.change(id, |shard| shard.release(fence, now))
            .ok_or(Stale)?
    }

    /// Has a shard drawn again, because what was made of it is lost or damaged.
    ///
    /// # Errors
    /// Another object than that of this fence.
    pub fn lose_object(&mut self, id: ShardId, fence: Fence, now: Moment) -> Result<(), Stale> {
        let policy = self.policy;
        self.change(id, |shard| shard.lose_object(fence, now, &policy))
            .ok_or(Stale)?
    }

    /// Takes back the shards whose leases ran out, ends the pauses that are over, and tells which shards changed in a ledger's eyes.
    pub fn advance(&mut self, now: Moment) -> Vec<ShardId> {
        let mut lapsed = Vec::new();
        let policy = self.policy;
        while let Some(&(until, id)) = self.leased.first() {
            if until > now {
                break;
            }
            self.change(id, |shard| shard.lapse(now, &policy));
            lapsed.push(id);
        }
        while let Some(&(not_before, id)) = self.paused.first() {
            if not_before > now {
                break;
            }
            self.paused.pop_first();
            if let Some((kind, _)) = self.shards.get(&id) {
                self.ready[*kind].insert(id);
            }
        }
        lapsed
    }

    /// A shard.
    pub fn get(&self, id: ShardId) -> Option<&Shard> {
        self.shards.get(&id).map(|(_, shard)| shard)
    }

    /// All shards, by name, with what they need.
    pub fn shards(&self) -> impl Iterator<Item = (ShardId, &Needs, &Shard)> {
        let each = self.shards.iter();
        each.map(|(id, (kind, shard))| (*id, &self.needs[*kind], shard))
    }

    /// The state of the queue in numbers. Looks at every shard.
    pub fn load(&self, now: Moment) -> Load {
        let mut load = Load::default();
        for (_, _, shard) in self.shards() {
            match shard.state {
                State::Waiting { since, .. } => {
                    load.waiting += 1;
                    load.images_left += u64::from(shard.images);
                    let age = now.saturating_sub(since).as_secs_f64();
                    load.oldest_seconds = load.oldest_seconds.max(age);
                }
                State::Leased(_) => {
                    load.leased += 1;
                    load.images_left += u64::from(shard.images);
                }
                State::Done(_) => load.done += 1,
                State::SetAside => load.set_aside += 1,
            }
        }
        load
    }

    /// Changes a shard and keeps the sets by which shards are found. `None` where there is no such shard.
    fn change<T>(&mut self, id: ShardId, change: impl FnOnce(&mut Shard) -> T) -> Option<T> {
        let (kind, shard) = self.shards.get_mut(&id)?;
        let (kind, before) = (*kind, shard.state);
        let answer = change(shard);
        let after = shard.state;
        self.leave(id, kind, before);
        self.enter(id, kind, after);
        Some(answer)
    }

    fn leave(&mut self, id: ShardId, kind: usize, state: State) {
        match state {
            State::Waiting { not_before, .. } => {
                self.paused.remove(&(not_before, id));
                self.ready[kind].remove(&id);
            }
            State::Leased(lease) => {
                self.leased.remove(&(lease.until, id));
            }
            State::Done(_) | State::SetAside => {}
        }
    }

    fn enter(&mut self, id: ShardId, kind: usize, state: State) {
        match state {
            // Whether it pauses is known when somebody asks.
            State::Waiting { not_before, since } if not_before > since => {
                self.paused.insert((not_before, id));
            }
            State::Waiting { .. } => {
                self.ready[kind].insert(id);
            }
            State::Leased(lease) => {
                self.leased.insert((lease.until, id));
            }
            State::Done(_) | State::SetAside => {}
        }
    }
}
