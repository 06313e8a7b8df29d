//! Text that may cross the wire.
//!
//! Any language is welcome. What is refused is text that a person who reviews the prompts cannot
//! see, or sees otherwise than it is stored: control characters, marks that reorder text (bidi
//! overrides, isolates and marks) and characters of no width, in which bytes can be hidden. Two
//! kinds of invisible characters are part of ordinary spelling and stay allowed where they do that
//! job, that is once after a visible character: U+200C and U+200D, which Persian, the Indic scripts and
//! compound emoji need (there only outside ASCII and followed by a visible character), and
//! U+FE00 to U+FE0F, which choose between text and emoji form.
//!
//! Equal text has equal bytes: Unicode normal form NFC, white space single and trimmed. Templates
//! keep their spaces, because those of published templates count.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::error::TextProblem;

/// Longest caption, in UTF-8 bytes.
pub const MAX_CAPTION_BYTES: usize = 400;
/// Longest domain name, in UTF-8 bytes.
pub const MAX_DOMAIN_BYTES: usize = 64;
/// Longest class name, prompt name or alias, in UTF-8 bytes.
pub const MAX_CLASS_NAME_BYTES: usize = 120;
/// Longest positive or negative text of a template, in UTF-8 bytes.
pub const MAX_TEMPLATE_BYTES: usize = 400;

/// Cleans `text`: NFC, white space (line breaks and tabs included) collapsed to single spaces and trimmed.
///
/// The result has 1 to `max` bytes and cleaning it again changes nothing.
pub(crate) fn clean(text: &str, max: usize) -> Result<String, TextProblem> {
    // Bounds the work on hostile input; ordinary text does not lose that much to composing and collapsed spaces.
    let room = max.saturating_mul(16).saturating_add(1024);
    if text.len() > room {
        return Err(TextProblem::TooLong {
            bytes: text.len(),
            max,
        });
    }
    let composed: String = text.nfc().collect();
    let cleaned = composed.split_whitespace().collect::<Vec<_>>().join(" ");
    check_characters(&cleaned)?;
    match cleaned.len() {
        0 => Err(TextProblem::Empty),
        bytes if bytes > max => Err(TextProblem::TooLong { bytes, max }),
        _ => Ok(cleaned),
    }
}

/// Accepts only text that [`clean`] would leave as it is.
pub(crate) fn check_clean(text: &str, max: usize) -> Result<(), TextProblem> {
    if text.is_empty() {
        return Err(TextProblem::Empty);
    }
    check_spelling(text, max)?;
    let single = !text.starts_with(' ') && !text.ends_with(' ') && !text.contains("  ");
    if single && !text.chars().any(|c| c.is_whitespace() && c != ' ') {
        Ok(())
    } else {
        Err(TextProblem::NotNormalised)
    }
}

/// Like [`check_clean`], but leaves spaces free: for templates, whose spaces are part of them.
pub(crate) fn check_spelling(text: &str, max: usize) -> Result<(), TextProblem> {
    if text.len() > max {
        return Err(TextProblem::TooLong {
            bytes: text.len(),
            max,
        });
    }
    check_characters(text)?;
    if is_nfc(text) {
        Ok(())
    } else {
        Err(TextProblem::NotNormalised)
    }
}

fn check_characters(text: &str) -> Result<(), TextProblem> {
    let mut before: Option<char> = None;
    let mut characters = text.char_indices().peekable();
    while let Some((offset, c)) = characters.next() {
        let code = u32::from(c);
        if c.is_control() {
            return Err(TextProblem::Control { code, offset });
        }
        let after = characters.peek().map(|&(_, c)| c);
        let allowed = match c {
            '\u{200C}' | '\u{200D}' => {
                before.is_some_and(|b| is_joinable(b) || is_form_selector(b))
                    && after.is_some_and(is_joinable)
            }
            c if is_form_selector(c) => before.is_some_and(is_visible),
            c => !is_invisible(c),
        };
        if !allowed {
            return Err(TextProblem::Invisible { code, offset });
        }
        before = Some(c);
    }
    Ok(())
}

/// Text from outside as part of a message: at most 200 characters, none of them invisible.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars().take(200).map(visible).collect()
}

/// The character, or what stands for one that is not seen.
pub(crate) fn visible(c: char) -> char {
    if c.is_control() || is_invisible(c) {
        char::REPLACEMENT_CHARACTER
    } else {
        c
    }
}

const fn is_form_selector(c: char) -> bool {
    matches!(c, '\u{FE00}'..='\u{FE0F}')
}

fn is_visible(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !is_invisible(c)
}

fn is_joinable(c: char) -> bool {
    !c.is_ascii() && is_visible(c)
}

/// Characters that show nothing or act on their neighbours: Unicode's Default_Ignorable_Code_Point,
/// line and paragraph separators, interlinear annotation, the blank braille cell, and noncharacters.
const fn is_invisible(c: char) -> bool {
    let code = c as u32;
    matches!(
        code,
        0x00AD
            | 0x034F
            | 0x061C
            | 0x115F..=0x1160
            | 0x17B4..=0x17B5
            | 0x180B..=0x180F
            | 0x200B..=0x200F
            | 0x2028..=0x202E
            | 0x2060..=0x206F
            | 0x2800
            | 0x3164
            | 0xFDD0..=0xFDEF
            | 0xFE00..=0xFE0F
            | 0xFEFF
            | 0xFFA0
            | 0xFFF0..=0xFFFB
            | 0x1BCA0..=0x1BCA3
            | 0x1D173..=0x1D17A
            | 0xE0000..=0xE0FFF
    ) || code & 0xFFFE == 0xFFFE
}

/// Defines a validated text newtype.
macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Accepts only text that is clean already, as on the wire.
            pub(crate) fn exact(text: String) -> Result<Self, TextProblem> {
                check_clean(&text, $max).map(|()| Self(text))
            }
        }

        impl TryFrom<&str> for $name {
            type Error = TextProblem;

            /// Cleans the text (NFC, white space single and trimmed) and checks it.
            fn try_from(text: &str) -> Result<Self, TextProblem> {
                clean(text, $max).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = TextProblem;

            fn try_from(text: String) -> Result<Self, TextProblem> {
                Self::try_from(text.as_str())
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_type! {
    /// Name of a domain (drawing style, camera, site): 1 to [`MAX_DOMAIN_BYTES`] bytes of visible text.
    Domain, MAX_DOMAIN_BYTES
}

text_type! {
    /// What one image shows, in words: 1 to [`MAX_CAPTION_BYTES`] bytes of visible text.
    Caption, MAX_CAPTION_BYTES
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_script_is_welcome() {
        for text in [
            "a red apple",
            "ein Straßenköter",
            "一只猫",
            "قطة حمراء",
            "می\u{200C}خواهم",
            "क्\u{200D}ष",
            "❤\u{FE0F}",
            "❤\u{FE0F}\u{200D}🔥",
            "👨\u{200D}👩\u{200D}👧",
            "1\u{FE0F}\u{20E3}",
            "e\u{0327}\u{0301}tude",
        ] {
            assert!(Caption::try_from(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn white_space_and_accents_have_one_form() {
        let caption = Caption::try_from("  a\tcafe\u{0301}\r\n at\u{00A0}\u{3000}night ").unwrap();
        assert_eq!(caption.as_str(), "a caf\u{00E9} at night");
    }

    #[test]
    fn hidden_text_is_refused() {
        for text in [
            "a\u{202E}b",
            "a\u{200B}b",
            "a\u{200D}b",
            "\u{200D}é",
            "é\u{200D}",
            "é\u{200D}\u{200D}é",
            "❤\u{FE0F}\u{FE0F}",
            "\u{FE0F}a",
            "a\u{E0100}b",
            "a\u{E0041}",
            "\u{FEFF}a",
            "a\u{2066}b",
            "a\u{3164}b",
            "a\u{FFFE}b",
        ] {
            assert!(
                matches!(Caption::try_from(text), Err(TextProblem::Invisible { .. })),
                "{text:?}"
            );
        }
        assert_eq!(
            Caption::try_from("a\u{0}b"),
            Err(TextProblem::Control { code: 0, offset: 1 })
        );
        assert_eq!(
            Caption::try_from("a\u{9B}31m"),
            Err(TextProblem::Control {
                code: 0x9B,
                offset: 1
            })
        );
    }

    #[test]
    fn length_is_counted_in_bytes() {
        assert!(Domain::try_from("é".repeat(32).as_str()).is_ok());
        assert_eq!(
            Domain::try_from("é".repeat(33).as_str()),
            Err(TextProblem::TooLong { bytes: 66, max: 64 })
        );
        assert_eq!(Domain::try_from(" \n "), Err(TextProblem::Empty));
    }

    proptest! {
        #[test]
        fn cleaning_twice_is_cleaning_once(text in any::<String>()) {
            if let Ok(once) = clean(&text, 1000) {
                prop_assert_eq!(clean(&once, 1000), Ok(once.clone()));
                prop_assert_eq!(check_clean(&once, 1000), Ok(()));
            }
        }

        #[test]
        fn what_is_clean_is_left_alone(text in "[ a-cé\u{301}\u{200D}\u{FE0F}❤\t]{0,12}") {
            if check_clean(&text, 1000).is_ok() {
                prop_assert_eq!(clean(&text, 1000), Ok(text));
            }
        }
    }
}
