//! One shard: its states, and every change of them.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use promptfed_prompts::ContentHash;

use super::Policy;

/// A point in time: how long after a moment that stays the same while a queue lives.
pub type Moment = Duration;

/// Which shard of a queue; a job's shards are named by the index of their first image.
pub type ShardId = u64;

/// The number of a lease among those of its shard, from 1.
pub type Fence = u64;

/// The longest reason of a failure that is kept, in bytes.
pub const MAX_REASON_BYTES: usize = 500;

/// Which worker: a number that is drawn when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u64);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The right to draw a shard for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Whose it is.
    pub worker: WorkerId,
    /// What the worker shows with everything it says of the shard.
    pub fence: Fence,
    /// When it ends unless it is extended.
    pub until: Moment,
}

/// What was made of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MadeObject {
    /// The lease under which it was made, which is part of its key.
    pub fence: Fence,
    /// Hash of its bytes.
    pub hash: ContentHash,
}

/// Where a shard stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits for a worker.
    Waiting {
        /// Since when.
        since: Moment,
        /// It is not given out before.
        not_before: Moment,
    },
    /// A worker draws it.
    Leased(Lease),
    /// It is drawn.
    Done(MadeObject),
    /// It was given up; [`Shard::reasons`] says why.
    SetAside,
}

/// Why a worker could not draw a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which worker.
    pub worker: WorkerId,
    /// In its words.
    pub reason: String,
}

/// What is said of a shard under a lease that another one has followed, or that was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stale;

/// A shard of a job's images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// How many images it has.
    pub images: u32,
    /// Where it stands.
    pub state: State,
    /// The highest fence that counts: lower ones are stale.
    pub fence: Fence,
    /// What workers told of it.
    pub failures: Vec<Failure>,
    /// How many of its leases ran out.
    pub losses: u32,
}

impl Shard {
    /// A new shard.
    pub fn new(images: u32, now: Moment) -> Self {
        Self {
            images,
            state: State::Waiting {
                since: now,
                not_before: now,
            },
            fence: 0,
            failures: Vec::new(),
            losses: 0,
        }
    }

    /// Whether it may be given out now.
    pub fn is_ready(&self, now: Moment) -> bool {
        matches!(self.state, State::Waiting { not_before, .. } if not_before <= now)
    }

    /// Whether it failed on a worker.
    pub(super) fn failed_on(&self, worker: WorkerId) -> bool {
        self.failures.iter().any(|failure| failure.worker == worker)
    }

    /// Gives it out. `None` where it does not wait.
    pub(super) fn lease(
        &mut self,
        worker: WorkerId,
        now: Moment,
        policy: &Policy,
    ) -> Option<Lease> {
        if !self.is_ready(now) {
            return None;
        }
        self.fence += 1;
        let lease = Lease {
            worker,
            fence: self.fence,
            until: now + policy.lease,
        };
        self.state = State::Leased(lease);
        Some(lease)
    }

    /// Extends a lease; also one that ran out, as long as nobody else has the shard.
    pub(super) fn extend(
        &mut self,
        worker: WorkerId,
        fence: Fence,
        now: Moment,
        policy: &Policy,
    ) -> Result<Lease, Stale> {
        if fence != self.fence || matches!(self.state, State::Done(_) | State::SetAside) {
            return Err(Stale);
        }
        let lease = Lease {
            worker,
            fence,
            until: now + policy.lease,
        };
        self.state = State::Leased(lease);
        Ok(lease)
    }

    /// Takes what was made of it; the same once more changes nothing. A lease that ran out still counts as long as nobody else has the
    /// shard.
    pub(super) fn complete(&mut self, made: MadeObject) -> Result<(), Stale> {
        if made.fence != self.fence {
            return Err(Stale);
        }
        match self.state {
            State::Done(there) if there != made => return Err(Stale),
            _ => self.state = State::Done(made),
        }
        Ok(())
    }

    /// Takes note that a worker could not draw it.
    pub(super) fn fail(
        &mut self,
        worker: WorkerId,
        fence: Fence,
        reason: &str,
        now: Moment,
        policy: &Policy,
    ) -> Result<(), Stale> {
        self.end_lease(fence)?;
        let end = reason.floor_char_boundary(MAX_REASON_BYTES.min(reason.len()));
        self.failures.push(Failure {
            worker,
            reason: reason[..end].to_owned(),
        });
        self.wait_again(now, policy);
        Ok(())
    }

    /// Gives it back undrawn.
    pub(super) fn release(&mut self, fence: Fence, now: Moment) -> Result<(), Stale> {
        self.end_lease(fence)?;
        self.state = State::Waiting {
            since: now,
            not_before: now,
        };
        Ok(())
    }

    /// Takes it back where its lease ran out, and tells whether it did. Its fence still counts until it is given out again.
    pub(super) fn lapse(&mut self, now: Moment, policy: &Policy) -> bool {
        match self.state {
            State::Leased(lease) if lease.until <= now => {
                self.losses += 1;
                self.wait_again(now, policy);
                true
            }
            _ => false,
        }
    }

    /// Has it drawn again, because what was made of it is lost or damaged.
    pub(super) fn lose_object(
        &mut self,
        fence: Fence,
        now: Moment,
        policy: &Policy,
    ) -> Result<(), Stale> {
        match self.state {
            State::Done(made) if made.fence == fence => {
                self.fence += 1;
                self.losses += 1;
                self.wait_again(now, policy);
                Ok(())
            }
            _ => Err(Stale),
        }
    }

    /// Why it could not be drawn: what each worker told, and how many leases ran out.
    pub fn reasons(&self) -> Vec<String> {
        let told = self.failures.iter();
        let mut reasons: Vec<String> = told
            .map(|failure| format!("worker {}: {}", failure.worker, failure.reason))
            .collect();
        if self.losses > 0 {
            reasons.push(format!(
                "{} leases ran out, or what was made under them was lost",
                self.losses
            ));
        }
        reasons
    }

    /// Makes the lease stale, so that a message that comes twice is heeded once.
    fn end_lease(&mut self, fence: Fence) -> Result<(), Stale> {
        if fence != self.fence || matches!(self.state, State::Done(_) | State::SetAside) {
            return Err(Stale);
        }
        self.fence += 1;
        Ok(())
    }

    fn wait_again(&mut self, now: Moment, policy: &Policy) {
        let workers: BTreeSet<WorkerId> = self.failures.iter().map(|f| f.worker).collect();
        let failures = self.failures.len() as u32;
        let is_poison = workers.len() as u32 >= policy.workers
            || failures >= policy.failures
            || self.losses >= policy.losses;
        self.state = if is_poison {
            State::SetAside
        } else {
            State::Waiting {
                since: now,
                not_before: now + policy.pause_after(failures + self.losses),
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: WorkerId = WorkerId(1);
    const B: WorkerId = WorkerId(2);

    fn at(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    fn made(fence: Fence) -> MadeObject {
        MadeObject {
            fence,
            hash: ContentHash::of(&fence.to_le_bytes()),
        }
    }

    #[test]
    fn who_slept_through_a_lease_changes_nothing() {
        let policy = Policy::default();
        let mut shard = Shard::new(64, at(0));
        let first = shard.lease(A, at(0), &policy).unwrap();
        assert_eq!(shard.lease(B, at(59), &policy), None);
        assert!(!shard.lapse(at(59), &policy) && shard.lapse(at(60), &policy));
        let second = shard.lease(B, at(62), &policy).unwrap();
        assert!(second.fence > first.fence);
        let before = shard.clone();
        assert_eq!(shard.complete(made(first.fence)), Err(Stale));
        assert_eq!(shard.extend(A, first.fence, at(63), &policy), Err(Stale));
        assert_eq!(
            shard.fail(A, first.fence, "late", at(63), &policy),
            Err(Stale)
        );
        assert_eq!(shard.release(first.fence, at(63)), Err(Stale));
        assert_eq!(shard, before);
        shard.complete(made(second.fence)).unwrap();
        assert_eq!(shard.state, State::Done(made(second.fence)));
        // Said once more.
        shard.complete(made(second.fence)).unwrap();
        let other = MadeObject {
            hash: ContentHash::of(b"another"),
            ..made(second.fence)
        };
        assert_eq!(shard.complete(other), Err(Stale));
    }

    #[test]
    fn a_lease_that_ran_out_counts_while_nobody_else_has_the_shard() {
        let policy = Policy::default();
        let mut shard = Shard::new(64, at(0));
        let lease = shard.lease(A, at(0), &policy).unwrap();
        assert!(shard.lapse(at(100), &policy));
        shard.extend(A, lease.fence, at(101), &policy).unwrap();
        assert!(shard.lapse(at(161), &policy));
        shard.complete(made(lease.fence)).unwrap();
    }

    #[test]
    fn a_shard_is_set_aside_after_failures_of_different_workers_or_many_of_one() {
        let policy = Policy::default();
        for (workers, most) in [(3, policy.workers), (1, policy.failures)] {
            let mut shard = Shard::new(64, at(0));
            for failure in 0..most {
                let now = at(1000 * u64::from(failure));
                let worker = WorkerId(u64::from(failure % workers));
                let lease = shard.lease(worker, now, &policy).unwrap();
                shard
                    .fail(worker, lease.fence, "no memory", now, &policy)
                    .unwrap();
                // Told twice, counted once.
                assert_eq!(
                    shard.fail(worker, lease.fence, "no memory", now, &policy),
                    Err(Stale)
                );
            }
            assert_eq!(shard.state, State::SetAside);
            assert_eq!(shard.reasons().len() as u32, most);
        }
        let mut shard = Shard::new(64, at(0));
        for loss in 0..policy.losses {
            let now = at(10_000 * u64::from(loss));
            assert!(shard.lease(A, now, &policy).is_some());
            assert!(shard.lapse(now + policy.lease, &policy));
        }
        assert_eq!(shard.state, State::SetAside);
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let policy = Policy::default();
        let pauses = [1, 2, 3, 7, 60].map(|n| policy.pause_after(n).as_secs());
        assert_eq!(pauses, [1, 2, 4, 60, 60]);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let mut shard = Shard::new(64, at(0));
        let policy = Policy::default();
        let lease = shard.lease(A, at(0), &policy).unwrap();
        let reason = "ü".repeat(MAX_REASON_BYTES);
        shard.fail(A, lease.fence, &reason, at(0), &policy).unwrap();
        assert_eq!(shard.failures[0].reason.len(), MAX_REASON_BYTES);
    }
}
