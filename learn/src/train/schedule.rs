//! Learning rates.

use super::{Schedule, TrainConfig};

/// The learning rate of `step` (from 0) out of `steps`.
pub(super) fn learning_rate(config: &TrainConfig, step: usize, steps: usize) -> f32 {
    let peak = f64::from(config.learning_rate);
    if config.schedule == Schedule::Constant {
        return config.learning_rate;
    }
    let first = peak / 25.0;
    let last = first / 1e4;
    let rise = f64::from(config.warmup_fraction) * steps as f64 - 1.0;
    let step = step as f64;
    let rate = if step < rise {
        half_cosine(first, peak, step / rise)
    } else {
        let rise = rise.max(0.0);
        let fall = (steps as f64 - 1.0 - rise).max(1.0);
        half_cosine(peak, last, (step - rise) / fall)
    };
    rate as f32
}

fn half_cosine(from: f64, to: f64, progress: f64) -> f64 {
    to + (from - to) / 2.0 * (1.0 + (std::f64::consts::PI * progress).cos())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn agrees_with_one_cycle() {
        let golden: BTreeMap<usize, Vec<f32>> =
            serde_json::from_str(include_str!("../../tests/golden/schedule.json")).unwrap();
        assert_eq!(golden.len(), 3);
        for (steps, rates) in golden {
            for (step, expected) in rates.into_iter().enumerate() {
                let rate = learning_rate(&TrainConfig::default(), step, steps);
                assert!(
                    (rate - expected).abs() < 1e-7,
                    "{step} of {steps}: {rate} {expected}"
                );
            }
        }
    }

    #[test]
    fn any_number_of_steps_gives_positive_rates() {
        for warmup_fraction in [0.0, 0.3, 1.0] {
            let config = TrainConfig {
                warmup_fraction,
                ..TrainConfig::default()
            };
            for steps in 1..12 {
                for step in 0..steps {
                    let rate = learning_rate(&config, step, steps);
                    assert!(
                        rate > 0.0 && rate <= config.learning_rate,
                        "{step} of {steps}: {rate}"
                    );
                }
            }
        }
    }
}
