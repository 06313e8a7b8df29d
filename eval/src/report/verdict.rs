//! One method against another in words: accuracy, where it is more than chance, and bytes.

use super::format;
use crate::pairs::{Pair, between};
use crate::summary::MethodSummary;

/// How the subject compares with the rival, in accuracy and in bytes. It is called better or worse only where `pairs` has the two and their
/// difference is clear.
pub(super) fn verdict(subject: &MethodSummary, rival: &MethodSummary, pairs: &[Pair]) -> String {
    let accuracy = match between(pairs, &subject.name, &rival.name) {
        Some(pair) => of_pair(&pair),
        None => {
            let difference = subject.accuracy_mean - rival.accuracy_mean;
            let untested = "which was not tested: they have no predictions in common";
            format!(
                "{} ({untested})",
                unproven(&subject.name, &rival.name, difference)
            )
        }
    };
    format!(
        "{accuracy} and {}",
        relative_cost(subject.bytes(), rival.bytes())
    )
}

fn of_pair(pair: &Pair) -> String {
    let Pair {
        first,
        second,
        difference,
        ..
    } = pair;
    // The interval has the sign of what is said: 3 points worse, 2 to 4.
    let interval = if *difference < 0.0 {
        pair.interval.negated()
    } else {
        pair.interval
    };
    let evidence = format!(
        "95\u{a0}% interval {}, {}{}",
        format::points_interval(interval),
        format::p_value(pair.p_corrected),
        if pair.seeds < 2 {
            "; of one seed, and another may differ"
        } else {
            ""
        }
    );
    if pair.is_clear() {
        let side = if *difference > 0.0 { "better" } else { "worse" };
        let points = points(*difference);
        return format!("{first} is {points} points {side} ({evidence})");
    }
    format!(
        "{}, which may be chance ({evidence})",
        unproven(first, second, *difference)
    )
}

/// What was measured, without a claim.
fn unproven(first: &str, second: &str, difference: f64) -> String {
    let side = if difference > 0.0 { "above" } else { "below" };
    match points(difference).as_str() {
        "0.0" => format!("{first} is at the accuracy of {second}"),
        points => format!("{first} is {points} points {side} {second}"),
    }
}

fn points(difference: f64) -> String {
    format!("{:.1}", difference.abs() * 100.0)
}

fn relative_cost(subject: u64, rival: u64) -> String {
    match (subject, rival) {
        (0, 0) => "neither needs a byte".into(),
        (0, _) => "needs no bytes".into(),
        (_, 0) => "is the only one of the two that needs bytes".into(),
        (s, r) if s == r => "needs as many bytes".into(),
        (s, r) if s.abs_diff(r) as f64 <= 0.04 * s.max(r) as f64 => {
            "needs about as many bytes".into()
        }
        (s, r) if s < r => format!("needs {} fewer bytes", times(r as f64 / s as f64)),
        (s, r) => format!("needs {} more bytes", times(s as f64 / r as f64)),
    }
}

fn times(ratio: f64) -> String {
    if ratio < 9.95 {
        return format!("{ratio:.1} times");
    }
    // Two significant digits are all that a ratio of bytes is worth.
    let unit = 10f64.powf(ratio.log10().floor() - 1.0);
    format!(
        "{} times",
        format::count(((ratio / unit).round() * unit).round() as u64)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::Test;
    use crate::report::headline::tests::method;
    use crate::statistics::Interval;

    fn pair(difference: f64, reach: f64, p: f64, seeds: usize) -> Pair {
        Pair {
            first: "fgl".into(),
            second: "fedavg".into(),
            seeds,
            images: 100,
            difference,
            interval: Interval {
                low: difference - reach,
                high: difference + reach,
            },
            test: Test::SignFlip,
            p,
            p_corrected: p,
        }
    }

    fn said(pairs: &[Pair]) -> String {
        let subject = method("fgl", 0.4, 0.01, 1_000);
        let rival = method("fedavg", 0.5, 0.02, 9_640_000);
        verdict(&subject, &rival, pairs).replace('\u{a0}', " ")
    }

    #[test]
    fn a_loss_is_called_a_loss() {
        assert_eq!(
            said(&[pair(-0.1, 0.03, 0.004, 3)]),
            "fgl is 10.0 points worse (95 % interval 7.0 to 13.0 points, p = 0.004) and needs 9,600 times fewer bytes"
        );
        assert!(said(&[pair(0.1, 0.03, 0.0002, 3)]).starts_with(
            "fgl is 10.0 points better (95 % interval 7.0 to 13.0 points, p < 0.001)"
        ));
    }

    #[test]
    fn a_difference_that_may_be_chance_is_no_win() {
        for unclear in [pair(0.01, 0.03, 0.01, 3), pair(0.01, 0.005, 0.2, 3)] {
            let said = said(&[unclear]);
            assert!(
                said.starts_with("fgl is 1.0 points above fedavg, which may be chance"),
                "{said}"
            );
        }
        let none = said(&[pair(0.0, 0.03, 1.0, 3)]);
        assert!(
            none.starts_with(
                "fgl is at the accuracy of fedavg, which may be chance (95 % interval −3.0 to 3.0"
            ),
            "{none}"
        );
    }

    #[test]
    fn one_seed_and_no_test_are_told() {
        let one = said(&[pair(-0.1, 0.03, 0.004, 1)]);
        assert!(one.contains("of one seed, and another may differ"), "{one}");
        let none = said(&[]);
        assert!(
            none.starts_with("fgl is 10.0 points below fedavg (which was not tested"),
            "{none}"
        );
    }

    #[test]
    fn more_bytes_are_not_called_fewer() {
        assert_eq!(relative_cost(5000, 1000), "needs 5.0 times more bytes");
        assert_eq!(relative_cost(0, 1000), "needs no bytes");
        assert_eq!(relative_cost(1010, 1000), "needs about as many bytes");
    }
}
