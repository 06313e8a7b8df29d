//! What of a run's time is not its method's, and what of its method's was spent before.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A run's corrections of the clock on the wall.
#[derive(Debug, Default)]
pub struct Stopwatch(Mutex<Corrections>);

#[derive(Debug, Default, Clone, Copy)]
struct Corrections {
    off: Duration,
    more: Duration,
}

impl Stopwatch {
    /// Takes time off that passed and was not the method's, as pauses between questions.
    pub fn take_off(&self, time: Duration) {
        self.change(|c| c.off = c.off.saturating_add(time));
    }

    /// Adds time that the method's work took when it was done before, of what is taken from a cache.
    pub fn add(&self, time: Duration) {
        self.change(|c| c.more = c.more.saturating_add(time));
    }

    /// The method's seconds, of so much time on the wall.
    pub(crate) fn seconds(&self, wall: Duration) -> f64 {
        let Corrections { off, more } = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        wall.saturating_sub(off).saturating_add(more).as_secs_f64()
    }

    fn change(&self, change: impl FnOnce(&mut Corrections)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_do_not_count_and_earlier_work_does() {
        let watch = Stopwatch::default();
        watch.take_off(Duration::from_millis(1500));
        watch.add(Duration::from_millis(250));
        watch.add(Duration::from_millis(250));
        assert_eq!(watch.seconds(Duration::from_secs(4)), 3.0);
        assert_eq!(watch.seconds(Duration::from_secs(1)), 0.5);
    }
}
