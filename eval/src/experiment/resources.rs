//! What comparisons share.

use promptfed_data::ImageCache;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;

/// How many runs go at the same time, and what they share. No result depends on it: sums inside a run are cut by its shapes and not by its
/// threads, and what runs come to is collected in their order.
#[derive(Debug, Clone)]
pub struct Resources {
    /// Runs at the same time.
    pub jobs: NonZeroUsize,
    /// Threads of each.
    pub threads: NonZeroUsize,
    /// Images that are decoded.
    pub images: Arc<ImageCache>,
}

/// Cores that keep one run busy: with more of them its small products wait for one another.
const CORES_OF_A_RUN: usize = 8;

impl Resources {
    /// For so many runs at the same time, each of which has its share of the machine's threads.
    pub fn of(jobs: NonZeroUsize) -> Self {
        let threads = NonZeroUsize::new(threads() / jobs).unwrap_or(NonZeroUsize::MIN);
        Self {
            jobs,
            threads,
            images: Arc::default(),
        }
    }

    /// Runs at the same time where nothing is said: one for each eight cores.
    pub fn default_jobs() -> NonZeroUsize {
        NonZeroUsize::new(threads() / CORES_OF_A_RUN).unwrap_or(NonZeroUsize::MIN)
    }

    /// Keeps what works outside the runs' own threads, as the server of generative methods, to the threads of one run. It has an effect where
    /// nothing has computed yet in this program.
    pub fn limit_program(&self) {
        if self.jobs.get() > 1 {
            let builder = rayon::ThreadPoolBuilder::new().num_threads(self.threads.get());
            // Whoever was first has said how many there are.
            let _ = builder.build_global();
        }
    }
}

/// One run at a time on all threads.
impl Default for Resources {
    fn default() -> Self {
        Self::of(NonZeroUsize::MIN)
    }
}

/// All threads of the machine, or as many as `RAYON_NUM_THREADS` says.
fn threads() -> usize {
    let said = std::env::var("RAYON_NUM_THREADS").ok();
    let said = said.and_then(|text| text.parse().ok().filter(|n: &usize| *n > 0));
    said.unwrap_or_else(|| available_parallelism().map_or(1, NonZeroUsize::get))
}
