//! The allocator of the programs: mimalloc, told to keep freed memory for a while.
//!
//! Networks allocate and free feature maps of many megabytes all the time. mimalloc gives what was free for a second back to
//! the kernel, which clears every page before it hands it out again: a fifth of the processor's time in Stable Diffusion's
//! UNet.

use std::ffi::c_long;

use libmimalloc_sys::{mi_option_set_default, mi_option_t};
pub use mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc 3, which the bindings do not name: milliseconds.
const PURGE_DELAY: mi_option_t = 15;

/// Longer than any call of a network.
const KEPT: c_long = 30_000;

/// Has mimalloc keep freed memory for 30 seconds, unless the environment (`MIMALLOC_PURGE_DELAY`) says something else.
pub fn keep_freed_memory() {
    // SAFETY: the option exists in every mimalloc 3, and the call may be made at any time by any thread.
    unsafe { mi_option_set_default(PURGE_DELAY, KEPT) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libmimalloc_sys::mi_option_get;

    #[test]
    fn the_option_is_the_one_whose_default_is_a_second() {
        // SAFETY: as above.
        let get = || unsafe { mi_option_get(PURGE_DELAY) };
        if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
            assert_eq!(get(), 1000);
            keep_freed_memory();
            assert_eq!(get(), KEPT);
        }
    }
}
