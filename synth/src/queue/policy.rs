//! How long a lease lasts, and when a shard is given up.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The rules of a queue; the same for all who share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// How long a lease lasts after it was given or extended.
    pub lease: Duration,
    /// How long a shard waits after its first failure; twice as long after each further one.
    pub pause: Duration,
    /// The longest such wait.
    pub longest_pause: Duration,
    /// A shard on which so many different workers failed is set aside.
    pub workers: u32,
    /// A shard that failed so often, on whichever workers, is set aside.
    pub failures: u32,
    /// A shard whose leases ran out so often is set aside: it may be what ends its workers.
    pub losses: u32,
}

impl Default for Policy {
    /// Leases of 60 s; pauses of 1 to 60 s; set aside after failures on 3 workers, 6 failures, or 12 leases that ran out.
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(60),
            pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            workers: 3,
            failures: 6,
            losses: 12,
        }
    }
}

impl Policy {
    /// How long a shard waits after so many failures.
    pub(super) fn pause_after(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        self.pause
            .saturating_mul(1 << doublings)
            .min(self.longest_pause)
    }

    /// How often a worker says that it is alive, so that two of its messages may be lost.
    pub fn heartbeat(&self) -> Duration {
        self.lease / 3
    }
}
