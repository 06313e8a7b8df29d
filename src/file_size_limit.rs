//! A shell's limit on the size of files (`ulimit -f`), as an error like a full disk.

/// Keeps the signal that such a limit sends from ending the program, so that the write fails and what was there stays whole.
pub(crate) fn survive() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build();
        // The handler outlives runtime and listener; without it the limit ends the program as it always did.
        if let Ok(runtime) = runtime {
            let _guard = runtime.enter();
            let _ = signal(SignalKind::from_raw(libc::SIGXFSZ));
        }
    }
}
