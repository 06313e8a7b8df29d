//! How often somebody may try to sign in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Tries of one address in a window that did not succeed.
const MOST_TRIES: u32 = 5;
/// How long a window lasts.
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are counted at once; the earliest makes room.
const MOST_ADDRESSES: usize = 4096;

/// The tries of each address. Who succeeds is not counted.
#[derive(Default)]
pub(super) struct SignInLimit(Mutex<HashMap<IpAddr, Tries>>);

struct Tries {
    since: Instant,
    count: u32,
}

impl SignInLimit {
    /// Counts a try; says whether the address may make it.
    pub(super) fn admits(&self, address: IpAddr) -> bool {
        let mut all = self.lock();
        all.retain(|_, tries| tries.since.elapsed() < WINDOW);
        if !all.contains_key(&address) && all.len() >= MOST_ADDRESSES {
            let earliest = all.iter().min_by_key(|(_, tries)| tries.since);
            if let Some(address) = earliest.map(|(address, _)| *address) {
                all.remove(&address);
            }
        }
        let tries = all.entry(address).or_insert(Tries {
            since: Instant::now(),
            count: 0,
        });
        tries.count = tries.count.saturating_add(1);
        tries.count <= MOST_TRIES
    }

    /// Takes back the try of who has succeeded; tries that failed before stay counted.
    pub(super) fn succeeded(&self, address: IpAddr) {
        if let Some(tries) = self.lock().get_mut(&address) {
            tries.count = tries.count.saturating_sub(1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Tries>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn an_address_that_fails_often_waits_and_others_do_not() {
        let limit = SignInLimit::default();
        let [one, other] = [1, 2].map(|last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)));
        for _ in 0..MOST_TRIES {
            assert!(limit.admits(one));
            // Another token's holder behind the same address gives no further tries.
            assert!(limit.admits(other));
            limit.succeeded(other);
        }
        assert!(!limit.admits(one) && limit.admits(other));
    }

    #[test]
    fn what_is_counted_is_bounded() {
        let limit = SignInLimit::default();
        for number in 0..=MOST_ADDRESSES as u32 {
            assert!(limit.admits(IpAddr::V4(Ipv4Addr::from_bits(number))));
        }
        assert_eq!(limit.lock().len(), MOST_ADDRESSES);
    }
}
