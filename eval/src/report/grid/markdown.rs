//! Texts and numbers in Markdown.

use crate::statistics::Interval;

/// Stands where there is no figure.
pub(super) const NONE: &str = "–";

/// What Markdown would take for something else, as it is.
pub(super) fn escaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '|' | '<' | '>' | '*' | '_' | '`' | '[' | ']' | '\\' | '#' => {
                plain.extend(['\\', character])
            }
            _ if character.is_control() => plain.push(' '),
            _ => plain.push(character),
        }
    }
    plain
}

/// A row of a table.
pub(super) fn row<T: AsRef<str>>(cells: &[T]) -> String {
    let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// The names of columns and the line under them: texts first, then `numbers` columns on the right.
pub(super) fn head(names: &[&str], numbers: usize) -> String {
    let texts = names.len().saturating_sub(numbers);
    let rules = (0..names.len()).map(|column| if column < texts { "---" } else { "---:" });
    row(names) + &row(&rules.collect::<Vec<_>>())
}

/// A share in percent.
pub(super) fn percent(share: f64) -> String {
    if share.is_finite() {
        format!("{:.1}", 100.0 * share)
    } else {
        NONE.to_owned()
    }
}

/// The ends of an interval in percent.
pub(super) fn interval(interval: Option<Interval>) -> String {
    interval.map_or_else(
        || NONE.to_owned(),
        |ends| format!("{} to {}", percent(ends.low), percent(ends.high)),
    )
}

/// A difference of shares in points, with its sign.
pub(super) fn points(difference: f64) -> String {
    if difference.is_finite() {
        format!("{:+.1}", 100.0 * difference)
    } else {
        NONE.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_a_cell_or_a_page() {
        assert_eq!(
            escaped("a|b <img> *c*\nd_e"),
            "a\\|b \\<img\\> \\*c\\* d\\_e"
        );
        assert_eq!(row(&["a", "b"]), "| a | b |\n");
        assert_eq!(
            head(&["a", "b", "c"], 2),
            "| a | b | c |\n| --- | ---: | ---: |\n"
        );
        assert_eq!(
            (percent(f64::NAN), points(-0.04)),
            ("–".into(), "-4.0".into())
        );
    }
}
