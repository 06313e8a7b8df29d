//! How much is asked of a service, and how long it is waited for.

use std::time::Duration;

/// How often something that may pass is tried, and how long the pauses between are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Tries before giving up, 1 or more.
    pub attempts: u32,
    /// The longest pause before the second try; each later one is twice as long.
    pub first_pause: Duration,
    /// No pause is longer. A service that asks for a longer one is given up.
    pub longest_pause: Duration,
}

impl Retry {
    /// One try.
    pub const NEVER: Self = Self {
        attempts: 1,
        first_pause: Duration::ZERO,
        longest_pause: Duration::ZERO,
    };

    /// The pause after failed try `attempt` (from 1): the second half of 2^(attempt - 1) first pauses, at a point that `seed` and the
    /// attempt decide, so that many askers do not come back together.
    pub(crate) fn pause(&self, attempt: u32, seed: u64) -> Duration {
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let whole = self
            .first_pause
            .saturating_mul(doubled)
            .min(self.longest_pause);
        let mut hasher = blake3::Hasher::new_derive_key("promptfed synth 2026 retry jitter v1");
        hasher.update(&seed.to_le_bytes());
        hasher.update(&attempt.to_le_bytes());
        let mut bytes = [0; 4];
        hasher.finalize_xof().fill(&mut bytes);
        let part = f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX);
        whole.mul_f64(0.5 + 0.5 * part)
    }
}

/// The limits of one [`Service`](super::Service).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest time to connect. 10 s by default.
    pub connect: Duration,
    /// Longest silence of a connected service: an image server says nothing while it draws. 5 min by default.
    pub silence: Duration,
    /// Longest time of one request, from connecting to the last byte. 10 min by default.
    pub whole: Duration,
    /// How often a request is sent, and when again. 4 tries, 1 s to 60 s apart, by default.
    pub retry: Retry,
    /// Requests begun in any minute, evenly spaced; `None`, the default, is no limit.
    pub per_minute: Option<u32>,
    /// Requests on their way at the same time, 1 or more. 4 by default.
    pub concurrent: usize,
    /// Largest answer that is read, in bytes. 64 MiB by default.
    pub answer_bytes: u64,
    /// What the pauses between tries are drawn from.
    pub seed: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(300),
            whole: Duration::from_secs(600),
            retry: Retry {
                attempts: 4,
                first_pause: Duration::from_secs(1),
                longest_pause: Duration::from_secs(60),
            },
            per_minute: None,
            concurrent: 4,
            answer_bytes: 64 << 20,
            seed: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_differ_by_seed() {
        let retry = Limits::default().retry;
        for attempt in 1..40 {
            let whole = Duration::from_secs(1 << (attempt - 1).min(10)).min(retry.longest_pause);
            let pause = retry.pause(attempt, 7);
            assert!(pause >= whole / 2 && pause <= whole, "{attempt}: {pause:?}");
            assert_eq!(pause, retry.pause(attempt, 7));
            assert_ne!(pause, retry.pause(attempt, 8));
        }
        assert_eq!(Retry::NEVER.pause(1, 0), Duration::ZERO);
    }
}
