//! Numbers as people read them: percentages, decimal bytes, durations.

use maud::{Markup, html};

use crate::comparison::Spread;
use crate::statistics::Interval;

/// Stands where a figure does not exist.
pub(super) const NONE: &str = "\u{2013}";

/// What is shown of a number, with the number itself for machines; only the text where there is no number.
pub(super) fn figure(value: f64, shown: &str) -> Markup {
    html! { @if value.is_finite() { data value=(value) { (shown) } } @else { (shown) } }
}

/// A method's name, which breaks onto another line between its settings alone.
pub(super) fn method(name: &str) -> Markup {
    html! {
        @for (i, part) in name.split_inclusive([':', ',']).enumerate() {
            @if i > 0 { wbr; }
            (part)
        }
    }
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

/// An interval of a share as percentages, e.g. `58.1 to 64.3 %`.
pub(super) fn percent_interval(interval: Interval) -> String {
    format!(
        "{:.1}\u{a0}to\u{a0}{:.1}\u{a0}%",
        interval.low * 100.0,
        interval.high * 100.0
    )
}

/// An interval of a difference of shares, e.g. `−1.2 to 3.4 points`.
pub(super) fn points_interval(interval: Interval) -> String {
    let end = |end: f64| signed(end, "");
    format!(
        "{}\u{a0}to\u{a0}{}\u{a0}points",
        end(interval.low),
        end(interval.high)
    )
}

/// A difference of shares with its sign, e.g. `+7.7 points`.
pub(super) fn points(difference: f64) -> String {
    format!("{}\u{a0}points", signed(difference, "+"))
}

/// Points with one decimal; what is rounded to 0 has no sign.
fn signed(difference: f64, plus: &str) -> String {
    let size = format!("{:.1}", difference.abs() * 100.0);
    let sign = match difference {
        _ if size == "0.0" => "",
        d if d < 0.0 => "\u{2212}",
        _ => plus,
    };
    format!("{sign}{size}")
}

/// The p of a test, e.g. `p = 0.023` or `p < 0.001`.
pub(super) fn p_value(p: f64) -> String {
    if p < 0.001 {
        "p < 0.001".into()
    } else {
        format!("p = {p:.3}")
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
    fn names_break_between_settings() {
        let shown = |name: &str| method(name).into_string();
        assert_eq!(shown("fedavg"), "fedavg");
        assert_eq!(
            shown("fgl-rounds:level=class:rounds=2"),
            "fgl-rounds:<wbr>level=class:<wbr>rounds=2"
        );
        assert_eq!(shown("<b>:x"), "&lt;b&gt;:<wbr>x");
    }

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
    fn differences_have_signs_and_nothing_has_none() {
        let plain = |text: String| text.replace('\u{a0}', " ");
        assert_eq!(plain(points(0.0771)), "+7.7 points");
        assert_eq!(plain(points(-0.0771)), "\u{2212}7.7 points");
        assert_eq!(plain(points(-0.0001)), "0.0 points");
        let interval = Interval {
            low: -0.012,
            high: 0.034,
        };
        assert_eq!(
            plain(points_interval(interval)),
            "\u{2212}1.2 to 3.4 points"
        );
        assert_eq!(plain(percent_interval(interval)), "-1.2 to 3.4 %");
        assert_eq!(
            [0.0002, 0.0234, 1.0].map(p_value),
            ["p < 0.001", "p = 0.023", "p = 1.000"]
        );
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
