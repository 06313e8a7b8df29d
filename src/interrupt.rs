//! Ctrl-C as a request to stop cleanly; a second one ends the program at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The flag that the first Ctrl-C sets.
pub(crate) fn flag() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&flag);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    // Without a runtime Ctrl-C keeps its usual effect; jobs resume after that too.
    if let Ok(runtime) = runtime {
        std::thread::spawn(move || {
            runtime.block_on(async {
                while tokio::signal::ctrl_c().await.is_ok() {
                    if seen.swap(true, Ordering::Relaxed) {
                        std::process::exit(130);
                    }
                    eprintln!("stopping after the work in hand; Ctrl-C again ends at once");
                }
            });
        });
    }
    flag
}

/// The work was stopped by the user; what is done is kept.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted; the same command goes on from here")
    }
}
