//! Words and numbers as people read them.

/// Bytes in decimal units with three digits: `229 B`, `42.7 MB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = match value {
        _ if unit == 0 => 0,
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn three_digits_in_decimal_units() {
        for (number, text) in [
            (0, "0 B"),
            (229, "229 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (9_999, "10.0 kB"),
            (42_700_000, "42.7 MB"),
            (999_600, "1.00 MB"),
            (2_000_000_000_000_000, "2000 TB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }
}
