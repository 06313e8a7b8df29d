//! Cells of CSV files: numbers in full, and texts that no spreadsheet takes for a formula.

/// A number in as many digits as say which one it is; nothing for one that is not finite.
pub fn number(value: f64) -> String {
    if value.is_finite() {
        value.to_string()
    } else {
        String::new()
    }
}

/// The same for single precision, in which fewer digits say which one it is.
pub fn single(value: f32) -> String {
    if value.is_finite() {
        value.to_string()
    } else {
        String::new()
    }
}

/// A text, with an apostrophe before it where a spreadsheet would take it for a formula and run it: where it begins with `=`, `+`, `-`, `@`,
/// a tab or a line end, and is no number.
pub fn text(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    if is_formula && text.parse::<f64>().is_err() {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_back_as_they_were() {
        for value in [0.1, 1.0 / 3.0, f64::MAX, f64::MIN_POSITIVE, -0.0, 5e-324] {
            assert_eq!(number(value).parse::<f64>().unwrap(), value);
        }
        assert_eq!(single(0.1), "0.1");
        for nothing in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(number(nothing), "");
            assert_eq!(single(nothing as f32), "");
        }
    }

    #[test]
    fn formulas_become_texts_and_texts_and_numbers_stay() {
        assert_eq!(text("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0".to_owned());
        for formula in ["+1+1", "-a", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(text(formula), format!("'{formula}"));
        }
        for harmless in ["fedprox:mu=0.1", "-5", "+1e3", "a,b\"c", "", "'s"] {
            assert_eq!(text(harmless), harmless);
        }
    }
}
