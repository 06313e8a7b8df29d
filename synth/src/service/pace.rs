//! When the next request may begin.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Hands out starting times: evenly spaced where there is a limit, and none before a service wants to be asked again.
#[derive(Debug)]
pub(super) struct Pace {
    space: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    pub(super) fn new(per_minute: Option<u32>) -> Self {
        let space = per_minute.map_or(Duration::ZERO, |n| Duration::from_secs(60) / n.max(1));
        Self {
            space,
            next: Mutex::new(None),
        }
    }

    /// The time at which the next request may begin; the one after it begins a space later.
    pub(super) fn start(&self, now: Instant) -> Instant {
        let mut next = self.next();
        let start = next.map_or(now, |next| next.max(now));
        *next = Some(start + self.space);
        start
    }

    /// Lets no request begin before `until`.
    pub(super) fn hold(&self, until: Instant) {
        let mut next = self.next();
        *next = Some(next.map_or(until, |next| next.max(until)));
    }

    fn next(&self) -> MutexGuard<'_, Option<Instant>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_spaced_and_wait_together() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let pace = Pace::new(Some(60));
        assert_eq!([pace.start(now), pace.start(now)], [now, now + second]);
        assert_eq!(pace.start(now + 10 * second), now + 10 * second);
        pace.hold(now + 30 * second);
        assert_eq!(pace.start(now + 11 * second), now + 30 * second);
        let unlimited = Pace::new(None);
        assert_eq!([unlimited.start(now), unlimited.start(now)], [now, now]);
    }
}
