//! How fast a body has to come.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::listen::Limits;

/// A body's pace: after a grace it has to come at a least rate, whose arrears and whose lead are never more than the grace, and it ends in time.
pub(super) struct Pace {
    /// When it is too slow, unless more comes before.
    due: Instant,
    /// When it is too slow, whatever comes.
    last: Instant,
    grace: Duration,
    bytes_per_second: u64,
    sleep: Pin<Box<Sleep>>,
}

impl Pace {
    pub(super) fn new(limits: &Limits) -> Self {
        let now = Instant::now();
        Self {
            due: now + limits.body_grace,
            last: now + limits.body,
            grace: limits.body_grace,
            bytes_per_second: limits.bytes_per_second.max(1),
            sleep: Box::pin(sleep(limits.body_grace)),
        }
    }

    /// Tells of bytes that came.
    pub(super) fn came(&mut self, bytes: u64) {
        let earned = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        // What comes fast does not pay for standing still later on.
        self.due = (self.due + earned).min(Instant::now() + self.grace);
    }

    /// Ready when the body is too slow.
    pub(super) fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let end = self.due.min(self.last);
        if self.sleep.deadline() != end {
            self.sleep.as_mut().reset(end);
        }
        self.sleep.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> Pace {
        Pace::new(&Limits {
            body_grace: Duration::from_secs(600),
            body: Duration::from_secs(3600),
            bytes_per_second: 1000,
            ..Limits::default()
        })
    }

    #[tokio::test]
    async fn a_burst_pays_for_no_more_than_the_grace() {
        let mut pace = pace();
        pace.came(63 << 20);
        assert!(pace.due <= Instant::now() + Duration::from_secs(600));
        let due = pace.due;
        pace.came(1);
        assert!(pace.due - due <= Duration::from_millis(1));
    }

    #[tokio::test]
    async fn a_body_ends_in_time_however_it_comes() {
        let mut pace = Pace::new(&Limits {
            body: Duration::ZERO,
            ..Limits::default()
        });
        pace.came(1 << 20);
        std::future::poll_fn(|cx| pace.poll_too_slow(cx)).await;
    }
}
