//! One axis of a plot: values to positions, and where the ticks stand.

/// Maps values between `low` and `high` to positions between `start` and `end`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    start: f64,
    end: f64,
    logarithmic: bool,
}

impl Axis {
    /// A linear axis from 0 to the first round number at or above `high`.
    pub(super) fn from_zero(high: f64, start: f64, end: f64) -> Self {
        let high = if high.is_finite() && high > 0.0 {
            high
        } else {
            1.0
        };
        let step = step(high);
        Self {
            low: 0.0,
            high: (high / step - 1e-9).ceil() * step,
            start,
            end,
            logarithmic: false,
        }
    }

    /// A linear axis over `low..=high`.
    pub(super) fn linear(low: f64, high: f64, start: f64, end: f64) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        Self {
            low,
            high,
            start,
            end,
            logarithmic: false,
        }
    }

    /// A logarithmic axis over the whole decades that hold `low..=high`, both positive.
    pub(super) fn decades(low: f64, high: f64, start: f64, end: f64) -> Self {
        let low = 10f64.powf((low.log10() + 1e-9).floor());
        let high = 10f64.powf((high.log10() - 1e-9).ceil()).max(low * 10.0);
        Self {
            low,
            high,
            start,
            end,
            logarithmic: true,
        }
    }

    pub(super) fn start(&self) -> f64 {
        self.start
    }

    pub(super) fn end(&self) -> f64 {
        self.end
    }

    pub(super) fn position(&self, value: f64) -> f64 {
        let share = if self.logarithmic {
            (value / self.low).log10() / (self.high / self.low).log10()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.start + share * (self.end - self.start)
    }

    /// The labelled values: powers of ten, or round steps.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if self.logarithmic {
            let decades = (self.high / self.low).log10().round() as i32;
            // Labels of nine characters need some room: at most nine of them.
            let every = (decades as usize).div_ceil(9).max(1);
            return (0..=decades)
                .step_by(every)
                .map(|d| self.low * 10f64.powi(d))
                .collect();
        }
        let step = step(self.high - self.low);
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last).map(|i| i as f64 * step).collect()
    }

    /// The unlabelled values between powers of ten; none on a linear axis.
    pub(super) fn minor_ticks(&self) -> Vec<f64> {
        if !self.logarithmic {
            return Vec::new();
        }
        let decades = (self.high / self.low).log10().round() as i32;
        (0..decades)
            .flat_map(|d| (2..10).map(move |m| f64::from(m) * 10f64.powi(d)))
            .map(|v| v * self.low)
            .collect()
    }
}

/// The round step that cuts `span` into four to eight parts.
fn step(span: f64) -> f64 {
    let unit = 10f64.powf((span / 5.0).log10().floor());
    let parts = [1.0, 2.0, 5.0, 10.0].map(|m| m * unit);
    parts
        .into_iter()
        .find(|s| span / s <= 6.0)
        .unwrap_or(10.0 * unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decades_hold_the_data_and_end_on_powers_of_ten() {
        let axis = Axis::decades(2_345.0, 81_000_000.0, 0.0, 100.0);
        assert_eq!(axis.ticks(), [1e3, 1e4, 1e5, 1e6, 1e7, 1e8]);
        assert_eq!(axis.position(1e3), 0.0);
        assert!((axis.position(1e8) - 100.0).abs() < 1e-9);
        assert_eq!(axis.minor_ticks().len(), 40);
        assert_eq!(
            Axis::decades(1000.0, 1000.0, 0.0, 1.0).ticks(),
            [1000.0, 10000.0]
        );
    }

    proptest! {
        #[test]
        fn linear_ticks_lie_on_the_axis_and_are_few(high in 1e-6f64..1e9) {
            let axis = Axis::from_zero(high, 300.0, 10.0);
            let ticks = axis.ticks();
            prop_assert!((3..=8).contains(&ticks.len()), "{ticks:?}");
            prop_assert!(ticks[0] == 0.0 && *ticks.last().unwrap() >= high * 0.999_999);
            for tick in ticks {
                prop_assert!((9.9..=300.1).contains(&axis.position(tick)));
            }
        }
    }
}
