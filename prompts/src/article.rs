//! `a` or `an`: by the sound that a name begins with, as far as its spelling tells.
//!
//! The first word decides:
//! 1. a number takes `an` where it is read eight, eighty, .., eleven or eighteen (8, 80, 8000, 11, 18, 11000), else `a`;
//! 2. letters that are read by their names take `an` before A, E, F, H, I, L, M, N, O, R, S, X: a single letter (`X-ray`,
//!    `F-16`), and up to five in upper case without a vowel (`LCD`), or with a beginning that no English word has (`MRI`, `UV`), or
//!    that are [listed](SPELT_OUT); others in upper case are read as words (`NASA`, `CAT`);
//! 3. a word takes `an` before a silent h (`hour`), `a` before the sound of `you` or `w` (`unicorn`, `European`, `one`);
//! 4. else `an` before a, e, i, o, u, with or without accents.

use unicode_normalization::UnicodeNormalization;

/// Beginnings of words with a silent h.
const SILENT_H: [&str; 5] = ["heir", "honest", "honor", "honour", "hour"];

/// Beginnings of words that sound like `you` or `w`; `unin` and `unim` are not among them.
const LIKE_YOU_OR_W: [&str; 31] = [
    "eu", "ewe", "once", "onesie", "ouija", "ubiq", "ufo", "ugand", "uk", "unanim", "unic",
    "unidir", "unif", "unil", "unio", "uniq", "unis", "unit", "univ", "ural", "uran", "urea",
    "uret", "uri", "uro", "uru", "usa", "use", "usu", "ute", "uti",
];

/// Initialisms that could be read as words.
const SPELT_OUT: [&str; 11] = [
    "FAQ", "HIV", "LED", "MIT", "NIH", "RAM", "ROI", "SEM", "SIM", "SOS", "SUV",
];

/// Two consonants that English words begin with.
const ONSETS: [&str; 35] = [
    "BL", "BR", "CH", "CL", "CR", "DR", "DW", "FL", "FR", "GH", "GL", "GN", "GR", "KN", "PH", "PL",
    "PR", "PS", "PT", "RH", "SC", "SH", "SK", "SL", "SM", "SN", "SP", "SQ", "ST", "SW", "TH", "TR",
    "TW", "WH", "WR",
];

/// The article that goes before `name`.
pub(crate) fn indefinite_article(name: &str) -> &'static str {
    if begins_with_vowel_sound(name) {
        "an"
    } else {
        "a"
    }
}

fn begins_with_vowel_sound(name: &str) -> bool {
    let name = name.trim_start_matches(|c: char| !c.is_alphanumeric());
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return number_begins_with_vowel_sound(name);
    }
    let word: String = name
        .chars()
        .take_while(|c| c.is_alphabetic())
        .nfd()
        .filter(char::is_ascii_alphabetic)
        .collect();
    let spelt_out = is_spelt_out(&word);
    let word = word.to_ascii_lowercase();
    if spelt_out {
        return word.starts_with(|c| "aefhilmnorsx".contains(c));
    }
    let begins_as = |beginnings: &[&str]| beginnings.iter().any(|start| word.starts_with(start));
    begins_as(&SILENT_H)
        || (word.starts_with(is_vowel) && word != "one" && !begins_as(&LIKE_YOU_OR_W))
}

/// Whether a word is read letter by letter.
fn is_spelt_out(word: &str) -> bool {
    if word.len() == 1 {
        return true;
    }
    if word.is_empty() || word.len() > 5 || word.contains(|c: char| c.is_lowercase()) {
        return false;
    }
    let vowels = word.matches(|c: char| is_vowel(c) || c == 'Y').count();
    let no_beginning =
        !word[..2].contains(|c: char| is_vowel(c) || c == 'Y') && !ONSETS.contains(&&word[..2]);
    let u_alone = word.starts_with('U') && vowels == 1 && word.len() <= 3;
    vowels == 0 || no_beginning || u_alone || SPELT_OUT.contains(&word)
}

fn is_vowel(c: char) -> bool {
    matches!(c.to_ascii_lowercase(), 'a' | 'e' | 'i' | 'o' | 'u')
}

/// By the group of digits that is read first: 8 to 8.., 11 and 18.
fn number_begins_with_vowel_sound(name: &str) -> bool {
    let digits: String = name
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == ',')
        .filter(|c| *c != ',')
        .collect();
    let first = &digits[..(digits.len() - 1) % 3 + 1];
    first.starts_with('8') || first == "11" || first == "18"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_decides() {
        for (article, names) in [
            (
                "an",
                "axe|elephant|Owl|orange juice|umbrella|eosinophil|École|hour|hourglass|honest man|heirloom|\
                 uninhabited island|unimportant|urn|urchin|usher|8|8-ball|8,000|80 cm|81st|11|11th|18|18,500|11000|\
                 X-ray|x-ray|F-16|MRI|LCD|NMR image|ECG|SUV|LED|HB pencil|S-bend|OWL|e-mail|A4 sheet|(unripe) plum",
            ),
            (
                "a",
                "clock|horse|house|hotel|unicorn|university|uniform|unit|union|union jack|European|eucalyptus|ewe|\
                 one|one-way street|onesie|ukulele|urinal|uranium|utensil|used car|UFO|US flag|UV lamp|U-boat|T-shirt|\
                 CT|NASA|CAT|FOX|HER2|B-cell|1|7|10|12|110|180|1100|1800|100|y|城|yak|",
            ),
        ] {
            for name in names.split('|') {
                assert_eq!(indefinite_article(name), article, "{name}");
            }
        }
    }
}
