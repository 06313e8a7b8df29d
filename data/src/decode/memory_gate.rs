//! Bounds the bytes of pictures between decoding and delivery.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Lets pictures in while there is room. The next picture to be delivered always gets in, so that those that wait for
/// it cannot block it.
pub(super) struct MemoryGate {
    capacity: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    held: u64,
    next_delivery: usize,
    open: bool,
}

impl MemoryGate {
    pub(super) fn new(capacity: u64) -> Self {
        Self {
            capacity,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Waits until `bytes` fit, or picture `index` is the next to be delivered.
    pub(super) fn enter(&self, index: usize, bytes: u64) {
        let mut state = self.lock();
        while !state.open
            && index != state.next_delivery
            && state.held.saturating_add(bytes) > self.capacity
        {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.held = state.held.saturating_add(bytes);
    }

    /// Gives back the bytes of a picture that came to nothing.
    pub(super) fn leave(&self, bytes: u64) {
        self.lock().held -= bytes;
        self.changed.notify_all();
    }

    /// Gives back the bytes of the picture that was delivered; the one after it is next.
    pub(super) fn delivered(&self, bytes: u64) {
        let mut state = self.lock();
        state.held -= bytes;
        state.next_delivery += 1;
        drop(state);
        self.changed.notify_all();
    }

    /// Opens the gate for all when the guard is dropped.
    pub(super) fn open_on_drop(&self) -> OpenOnDrop<'_> {
        OpenOnDrop(self)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct OpenOnDrop<'a>(&'a MemoryGate);

impl Drop for OpenOnDrop<'_> {
    fn drop(&mut self) {
        self.0.lock().open = true;
        self.0.changed.notify_all();
    }
}
