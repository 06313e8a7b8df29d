//! Times and sizes as people read them.

use maud::{Markup, html};
use time::OffsetDateTime;

/// A time in milliseconds since 1970-01-01 UTC.
pub(super) fn time(milliseconds: u64) -> Markup {
    match utc(milliseconds) {
        Some((day, clock)) => html! {
            time datetime=(format!("{day}T{clock}Z")) { (day) " " (clock) " UTC" }
        },
        None => html! { "unknown" },
    }
}

fn utc(milliseconds: u64) -> Option<(String, String)> {
    let seconds = i64::try_from(milliseconds / 1000).ok()?;
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    let (hour, minute, second) = time.to_hms();
    Some((
        time.date().to_string(),
        format!("{hour:02}:{minute:02}:{second:02}"),
    ))
}

/// So many bytes, in units of a thousand.
pub(super) fn bytes(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

/// A share of one, in percent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc() {
        let told = |ms| utc(ms).map(|(day, clock)| format!("{day} {clock}"));
        assert_eq!(told(0).unwrap(), "1970-01-01 00:00:00");
        assert_eq!(told(951_782_399_999).unwrap(), "2000-02-28 23:59:59");
        assert_eq!(told(951_782_400_000).unwrap(), "2000-02-29 00:00:00");
        assert_eq!(told(u64::MAX), None);
    }

    #[test]
    fn sizes_are_short() {
        for (size, told) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (1_380_000, "1.4 MB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(size), told);
        }
        assert_eq!(percent(0.1234), "12.3 %");
    }
}
