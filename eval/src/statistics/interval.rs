//! Where a figure lies, as far as is known.

use serde::{Deserialize, Serialize};

/// Both ends of a 95 % confidence interval, the lower one first.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Whether all of it lies on one side of zero.
    pub fn excludes_zero(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }

    /// That of the figure with the other sign.
    pub fn negated(&self) -> Self {
        Self {
            low: -self.high,
            high: -self.low,
        }
    }

    /// The part of it in which the figure can lie at all.
    pub(crate) fn within(&self, least: f64, most: f64) -> Self {
        Self {
            low: self.low.clamp(least, most),
            high: self.high.clamp(least, most),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_at_zero_does_not_exclude_it() {
        let of = |low, high| Interval { low, high };
        assert!(of(0.1, 0.2).excludes_zero() && of(-0.2, -0.1).excludes_zero());
        assert!(!of(0.0, 0.2).excludes_zero() && !of(-0.1, 0.2).excludes_zero());
        assert_eq!(of(-0.1, 0.3).negated(), of(-0.3, 0.1));
        assert_eq!(of(-0.5, 1.5).within(0.0, 1.0), of(0.0, 1.0));
    }
}
