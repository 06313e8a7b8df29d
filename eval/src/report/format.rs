//! Numbers as people read them: percentages, decimal bytes, durations.

use maud::{Markup, html};

use crate::comparison::Spread;

/// Stands where a figure does not exist.
pub(super) const NONE: &str = "\u{2013}";

/// What is shown of a number, with the number itself for machines; only the text where there is no number.
pub(super) fn figure(value: f64, shown: &str) -> Markup {
    html! { @if value.is_finite() { data value=(value) { (shown) } } @else { (shown) } }
}

/// Bytes as people read them, with the exact number for machines and on hovering.
pub(super) fn byte_figure(value: u64) -> Markup {
    html! { data value=(value) title={ (count(value)) " bytes" } { (bytes(value)) } }
}

/// A share of one as a percentage with one decimal, e.g. `61.2 %`.
pub(super) fn percent(share: f64) -> String {
    if share.is_finite() {
        format!("{:.1}\u{a0}%", share * 100.0)
    } else {
        NONE.into()
    }
}

/// Mean and spread of a share, e.g. `61.2 ± 1.4 %`; without the spread for fewer than two runs.
pub(super) fn percent_spread(spread: Spread, runs: usize) -> String {
    if !spread.mean.is_finite() {
        NONE.into()
    } else if runs < 2 {
        percent(spread.mean)
    } else {
        format!(
            "{:.1}\u{a0}±\u{a0}{:.1}\u{a0}%",
            spread.mean * 100.0,
            spread.std * 100.0
        )
    }
}

/// Bytes with three significant digits in decimal units, e.g. `84.2 kB`, with a space that does not break.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes}\u{a0}B");
    }
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        value /= 1000.0;
        unit = next;
        if value < 999.5 {
            break;
        }
    }
    let decimals = match value {
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}\u{a0}{unit}")
}

/// A power of ten of bytes without needless decimals, e.g. `10 kB`, for axes.
pub(super) fn bytes_tick(value: f64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let unit = ((value.log10() + 1e-9) / 3.0).floor().clamp(0.0, 6.0);
    format!(
        "{}\u{a0}{}",
        (value / 1000f64.powf(unit)).round(),
        UNITS[unit as usize]
    )
}

/// A duration, e.g. `0.42 s`, `12.3 s`, `4 min 05 s`, `1 h 05 min`.
pub(super) fn seconds(seconds: f64) -> String {
    if !seconds.is_finite() {
        return NONE.into();
    }
    let whole = seconds.round().max(0.0) as u64;
    match seconds {
        s if s < 9.995 => format!("{s:.2}\u{a0}s"),
        s if s < 59.95 => format!("{s:.1}\u{a0}s"),
        s if s < 3599.5 => format!("{}\u{a0}min\u{a0}{:02}\u{a0}s", whole / 60, whole % 60),
        _ => format!(
            "{}\u{a0}h\u{a0}{:02}\u{a0}min",
            whole / 3600,
            whole % 3600 / 60
        ),
    }
}

/// A count with its digits in groups of three, e.g. `12,345`.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `one` for a count of one, `many` with its number otherwise, e.g. `1 client`, `7 clients`.
pub(super) fn plural(n: usize, one: &str, many: &str) -> String {
    format!("{} {}", count(n as u64), if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_change_unit_where_three_digits_end() {
        let shown = [
            0,
            999,
            1000,
            9_994,
            9_995,
            84_249,
            999_499,
            999_500,
            1_000_000,
            u64::MAX,
        ]
        .map(bytes);
        let plain = shown.map(|s| s.replace('\u{a0}', " "));
        assert_eq!(
            plain,
            [
                "0 B", "999 B", "1.00 kB", "9.99 kB", "10.0 kB", "84.2 kB", "999 kB", "1.00 MB",
                "1.00 MB", "18.4 EB"
            ]
        );
    }

    #[test]
    fn byte_ticks_are_powers_of_ten() {
        let plain = [1.0, 10.0, 1e3, 1e5, 1e6, 1e10].map(|v| bytes_tick(v).replace('\u{a0}', " "));
        assert_eq!(plain, ["1 B", "10 B", "1 kB", "100 kB", "1 MB", "10 GB"]);
    }

    #[test]
    fn durations_and_counts() {
        let plain =
            [0.4, 12.34, 59.97, 245.0, 3599.6, 3900.0].map(|v| seconds(v).replace('\u{a0}', " "));
        assert_eq!(
            plain,
            [
                "0.40 s",
                "12.3 s",
                "1 min 00 s",
                "4 min 05 s",
                "1 h 00 min",
                "1 h 05 min"
            ]
        );
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(seconds(f64::NAN), NONE);
    }

    #[test]
    fn a_single_run_has_no_spread() {
        let spread = Spread {
            mean: 0.5,
            std: 0.0,
        };
        assert_eq!(percent_spread(spread, 1), percent(0.5));
        assert!(percent_spread(spread, 2).contains('±'));
        assert_eq!(
            percent_spread(
                Spread {
                    mean: f64::NAN,
                    std: 0.0
                },
                3
            ),
            NONE
        );
    }
}
