//! One method against another in words: accuracy with the spread over seeds in mind, and bytes.

use super::format;
use crate::summary::MethodSummary;

/// How the subject compares with the rival, in accuracy and in bytes.
pub(super) fn verdict(subject: &MethodSummary, rival: &MethodSummary) -> String {
    let difference = subject.accuracy_mean - rival.accuracy_mean;
    let noise = subject.accuracy_std.hypot(rival.accuracy_std);
    let points = format!("{:.1} points", difference.abs() * 100.0);
    let accuracy = if format!("{:.1}", difference.abs() * 100.0) == "0.0" {
        format!("{} is equally accurate", subject.name)
    } else {
        let side = if difference > 0.0 { "better" } else { "worse" };
        let weight = match () {
            () if subject.runs < 2 || rival.runs < 2 => "with too few seeds to know the spread",
            () if difference.abs() > noise => "more than the spread over seeds",
            () => "within the spread over seeds, so no clear difference",
        };
        format!("{} is {points} {side} ({weight})", subject.name)
    };
    format!(
        "{accuracy} and {}",
        relative_cost(subject.bytes(), rival.bytes())
    )
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
    use crate::report::headline::tests::method;

    #[test]
    fn a_loss_is_called_a_loss() {
        let said = verdict(
            &method("fgl", 0.4, 0.01, 1_000),
            &method("fedavg", 0.5, 0.02, 9_640_000),
        );
        assert_eq!(
            said,
            "fgl is 10.0 points worse (more than the spread over seeds) and needs 9,600 times fewer bytes"
        );
    }

    #[test]
    fn a_difference_within_the_spread_is_no_win() {
        let said = verdict(
            &method("fgl", 0.51, 0.02, 10),
            &method("fedavg", 0.5, 0.02, 10),
        );
        assert!(
            said.contains(
                "1.0 points better (within the spread over seeds, so no clear difference)"
            ),
            "{said}"
        );
        assert!(said.ends_with("needs as many bytes"));
    }

    #[test]
    fn more_bytes_are_not_called_fewer() {
        assert_eq!(relative_cost(5000, 1000), "needs 5.0 times more bytes");
        assert_eq!(relative_cost(0, 1000), "needs no bytes");
        assert_eq!(relative_cost(1010, 1000), "needs about as many bytes");
    }
}
