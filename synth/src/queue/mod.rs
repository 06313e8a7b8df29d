//! Work shared among worker processes: shards of a job's images, leased to them.
//!
//! | file | what |
//! |---|---|
//! | `shard.rs` | one shard: its states, and every change of them |
//! | `policy.rs` | how long a lease lasts, and when a shard is given up |
//! | `needs.rs` | what a shard needs of a worker, and what a worker offers |
//! | `scheduler.rs` | all shards in memory: which is next, whose lease ran out |
//! | `load.rs` | how much waits, for whoever starts and stops workers |
//! | `ledger.rs` | the shards in SQL, the only truth |
//! | `objects.rs` | what workers made, as objects that are never overwritten |
//!
//! Nothing in `shard.rs` and `scheduler.rs` reads a clock or a file: the time is handed in, as a span since any moment that stays the same.
//! [`Scheduler`] and [`Ledger`] change shards by the same functions, and a test holds them to the same answers.
//!
//! A worker is given a lease with a fence: a number that grows with every lease of a shard. Whatever a worker says of a shard carries the
//! fence of its lease, and is refused once a higher one was given. So a worker that slept through its lease changes nothing when it wakes.

mod ledger;
mod load;
mod needs;
mod objects;
mod policy;
mod scheduler;
mod shard;

pub use ledger::{Asked, Grant, Ledger, RunState};
pub use load::Load;
pub use needs::{Needs, Offer};
pub use objects::Objects;
pub use policy::Policy;
pub use scheduler::Scheduler;
pub use shard::{
    Failure, Fence, Lease, MAX_REASON_BYTES, MadeObject, Moment, Shard, ShardId, Stale, State,
    WorkerId,
};

/// The fewest images of a whole shard.
pub const LEAST_SHARD: u32 = 32;

/// The most images of a shard.
pub const LARGEST_SHARD: u32 = 256;

/// Shards that are looked at for one that has not failed on the same worker before.
const CHOICES: usize = 16;
