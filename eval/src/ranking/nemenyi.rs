//! Critical values of Nemenyi's test.

/// Most methods with a critical value.
pub(super) const MAX_METHODS: usize = CRITICAL.len() + 1;

/// The 0.95 quantile of the studentised range with infinitely many degrees of freedom, divided by the root of 2, for 2 methods, 3, and so on
/// (Demšar 2006, table 5(a), continued with scipy by `golden/ranking.py`).
const CRITICAL: [f64; 19] = [
    1.9600, 2.3437, 2.5690, 2.7278, 2.8497, 2.9483, 3.0309, 3.1017, 3.1637, 3.2187, 3.2680, 3.3127,
    3.3536, 3.3912, 3.4260, 3.4584, 3.4887, 3.5171, 3.5438,
];

/// The critical value at the level 0.05 for so many methods; `None` outside `2..=20`.
pub(super) fn critical(methods: usize) -> Option<f64> {
    CRITICAL.get(methods.checked_sub(2)?).copied()
}
