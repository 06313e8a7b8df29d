//! When two names of a class or domain are the same: the one rule of every room.

use unicode_normalization::UnicodeNormalization;

/// The form in which a name is kept: Unicode normal form NFC (file systems of macOS hand out decomposed names), white space
/// single and trimmed. `+`, `-` and all other signs stay: `HER2+` is not `HER2-`.
pub fn composed(name: &str) -> String {
    let composed: String = name.nfc().collect();
    composed.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The form in which names are compared: [`composed`], without case, and with `_` equal to a space.
pub fn folded(name: &str) -> String {
    composed(&composed(&name.replace('_', " ")).to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spelling_is_forgiven_and_signs_are_not() {
        assert_eq!(folded("French_horn"), folded(" french  HORN"));
        assert_eq!(folded("Cafe\u{301}"), folded("caf\u{e9}"));
        assert_eq!(composed("\u{1100}\u{1161}"), "\u{ac00}");
        for (one, other) in [
            ("HER2+", "HER2-"),
            ("-1", "1"),
            ("T-shirt", "T shirt"),
            ("a.b", "ab"),
        ] {
            assert_ne!(folded(one), folded(other));
        }
        assert_ne!(composed("US"), composed("us"));
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(name in any::<String>()) {
            prop_assert_eq!(folded(&folded(&name)), folded(&name));
            prop_assert_eq!(composed(&composed(&name)), composed(&name));
            prop_assert_eq!(folded(&composed(&name)), folded(&name));
        }
    }
}
