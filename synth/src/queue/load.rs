//! How much waits, for whoever starts and stops workers.

use std::time::Duration;

use serde::Serialize;

/// The state of a queue in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Load {
    /// Shards that wait for a worker.
    pub waiting: u64,
    /// Shards that workers draw.
    pub leased: u64,
    /// Shards that are drawn.
    pub done: u64,
    /// Shards that were given up.
    pub set_aside: u64,
    /// Images of the shards that wait or are drawn now.
    pub images_left: u64,
    /// How long the shard that waits longest has waited, in seconds; 0 where none waits.
    pub oldest_seconds: f64,
}

impl Load {
    /// Seconds until everything left is drawn by so many workers, where an image takes one of them so long.
    pub fn expected_seconds(&self, workers: u32, per_image: Duration) -> f64 {
        self.images_left as f64 * per_image.as_secs_f64() / f64::from(workers.max(1))
    }

    /// How many workers would draw everything left within a time, where an image takes one of them so long; never more than there are
    /// shards, since a shard is not divided.
    pub fn workers_for(&self, within: Duration, per_image: Duration) -> u64 {
        let seconds = self.images_left as f64 * per_image.as_secs_f64();
        let needed = (seconds / within.as_secs_f64().max(1e-9)).ceil() as u64;
        needed.min(self.waiting + self.leased)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_for_a_time_draw_it_in_that_time() {
        let load = Load {
            waiting: 10,
            leased: 6,
            images_left: 16 * 64,
            ..Load::default()
        };
        let per_image = Duration::from_millis(500);
        assert_eq!(load.expected_seconds(1, per_image), 512.0);
        assert_eq!(load.workers_for(Duration::from_secs(128), per_image), 4);
        assert_eq!(load.workers_for(Duration::from_secs(1), per_image), 16);
        assert_eq!(Load::default().workers_for(Duration::ZERO, per_image), 0);
    }
}
