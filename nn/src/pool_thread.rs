//! Where networks run.

/// Runs `f` on a thread of the pool: from any other one each layer would have to wake a thread of the pool first.
pub fn on_pool_thread<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| f())
}
