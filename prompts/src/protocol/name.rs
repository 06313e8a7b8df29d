//! Names of rounds and clients: people tell them apart by sight.

use super::problem::InvalidMessage;
use crate::text::{check_clean, visible};

/// Longest name in bytes.
const MAX_BYTES: usize = 100;

/// Checks a name: visible text in Unicode form NFC with single inner spaces, whose words each are of one script. A word of Latin letters with a
/// Cyrillic or Greek one among them is another name than it seems.
pub(super) fn check_name(field: &'static str, name: &str) -> Result<(), InvalidMessage> {
    let refuse = |rule: &str| {
        let shown: String = name.chars().take(40).collect();
        // Quoted so that what cannot be seen is.
        Err(InvalidMessage::new(field, format_args!("{shown:?}"), rule))
    };
    if check_clean(name, MAX_BYTES).is_err() {
        return refuse(
            "1 to 100 bytes in Unicode form NFC without control or invisible characters and outer or double spaces",
        );
    }
    let mut words = name.split(|c: char| !c.is_alphabetic());
    if words.any(mixes_look_alikes) {
        return refuse("words of one script each: letters of Latin, Greek and Cyrillic look alike");
    }
    Ok(())
}

/// Checks the name of a setting, as of an engine, which may hold a path.
pub(super) fn check_setting(field: &'static str, name: &str) -> Result<(), InvalidMessage> {
    let fits = (1..=MAX_BYTES).contains(&name.len());
    if fits && name.trim() == name && !name.chars().any(char::is_control) {
        return Ok(());
    }
    let shown: String = name.chars().take(40).collect();
    let rule = "1 to 100 bytes without control characters or outer spaces";
    Err(InvalidMessage::new(field, format_args!("{shown:?}"), rule))
}

/// Whether a word has letters of two of the scripts whose letters look alike.
fn mixes_look_alikes(word: &str) -> bool {
    let mut scripts = word.chars().filter_map(script);
    let first = scripts.next();
    scripts.any(|script| Some(script) != first)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    Latin,
    Greek,
    Cyrillic,
    Armenian,
    Cherokee,
    /// Latin letters of other widths and styles, which are none in form NFKC.
    Styled,
}

/// The script of a letter that can be taken for another's.
const fn script(c: char) -> Option<Script> {
    Some(match c as u32 {
        0x41..=0x5A | 0x61..=0x7A | 0xC0..=0x24F | 0x250..=0x2AF | 0x1E00..=0x1EFF => Script::Latin,
        0x370..=0x3FF | 0x1F00..=0x1FFF => Script::Greek,
        0x400..=0x52F | 0x1C80..=0x1C8F | 0x2DE0..=0x2DFF | 0xA640..=0xA69F => Script::Cyrillic,
        0x531..=0x58F => Script::Armenian,
        0x13A0..=0x13FF | 0xAB70..=0xABBF => Script::Cherokee,
        0xFF21..=0xFF3A | 0xFF41..=0xFF5A | 0x1D400..=0x1D7FF | 0x2100..=0x214F => Script::Styled,
        _ => return None,
    })
}

/// Text of others as a terminal may show it: control characters, marks that reorder text and characters that cannot be seen stand as U+FFFD.
pub fn shown(text: &str) -> String {
    text.chars().map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_they_seem() {
        for name in [
            "hospital-a",
            "Klinik Zürich 2",
            "больница №1",
            "북부 병원",
            "clinic Αθήνα",
            "東京-west",
        ] {
            check_name("name", name).unwrap();
        }
        for name in [
            "",
            " a",
            "a  b",
            "a\u{202e}b",
            "a\u{200b}b",
            "a\u{1b}[2Jb",
            "cafe\u{301}",
            // A Cyrillic а, a Greek ο, a full-width Ａ in Latin words.
            "hospit\u{430}l",
            "h\u{3bf}spital",
            "\u{ff21}bc",
        ] {
            let told = check_name("name", name).unwrap_err().to_string();
            assert!(!told.contains(['\u{1b}', '\u{202e}', '\u{200b}']), "{told}");
        }
        check_name("name", &"a".repeat(101)).unwrap_err();
    }

    #[test]
    fn a_terminal_is_not_told_what_to_do() {
        assert_eq!(shown("a\u{1b}[31mb\u{202e}"), "a\u{fffd}[31mb\u{fffd}");
    }
}
