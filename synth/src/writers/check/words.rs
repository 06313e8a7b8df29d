//! Texts as words, the way the rules compare them.

use promptfed_prompts::same_name::folded;

/// The words of a text in lower case. Signs between letters part them (`T-shirt` is two words); a `+` or `-` right behind a
/// word or right before a number is a word of its own, since names can differ in it (`HER2+`, `-1`). Scripts that put no
/// spaces between words give a word for each character.
pub(super) fn words(text: &str) -> Vec<String> {
    let folded = folded(text);
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut before: Option<char> = None;
    let mut characters = folded.chars().peekable();
    let end = |word: &mut String, words: &mut Vec<String>| {
        if !word.is_empty() {
            words.push(std::mem::take(word));
        }
    };
    while let Some(c) = characters.next() {
        let after = characters.peek().copied();
        if is_unspaced(c) {
            end(&mut word, &mut words);
            words.push(c.to_string());
        } else if c.is_alphanumeric() || is_mark(c) && !word.is_empty() {
            word.push(c);
        } else if !is_apostrophe(c) || word.is_empty() {
            let ends_word = !word.is_empty() && !after.is_some_and(char::is_alphanumeric);
            let begins_number = before.is_none_or(char::is_whitespace)
                && after.is_some_and(|next| next.is_ascii_digit());
            end(&mut word, &mut words);
            if matches!(c, '+' | '-') && (ends_word || begins_number) {
                words.push(c.to_string());
            }
        } else if after.is_some_and(char::is_alphanumeric) {
            word.push('\'');
        }
        before = Some(c);
    }
    end(&mut word, &mut words);
    for word in &mut words {
        if let Some(owner) = word.strip_suffix("'s") {
            *word = owner.to_owned();
        }
    }
    words
}

const fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}')
}

/// Combining marks of Indic and other scripts, which are no letters and part no word.
const fn is_mark(c: char) -> bool {
    matches!(c as u32, 0x300..=0x36F | 0x900..=0x903 | 0x93A..=0x94F | 0x981..=0x983 | 0x9BC..=0x9CD | 0x64B..=0x65F | 0x591..=0x5C7 | 0x200C..=0x200D)
}

/// Han, Kana, Thai, Lao, Khmer and Burmese.
const fn is_unspaced(c: char) -> bool {
    matches!(
        c as u32,
        0xE00..=0xEFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3041..=0x30FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x3FFFF
    )
}

/// English plurals that no ending makes.
const IRREGULAR: [(&str, &str); 12] = [
    ("men", "man"),
    ("women", "woman"),
    ("children", "child"),
    ("people", "person"),
    ("feet", "foot"),
    ("teeth", "tooth"),
    ("geese", "goose"),
    ("mice", "mouse"),
    ("lice", "louse"),
    ("oxen", "ox"),
    ("dice", "die"),
    ("cacti", "cactus"),
];

/// A word and what it may be the plural of.
pub(super) fn forms(word: &str) -> Vec<String> {
    let mut forms = vec![word.to_owned()];
    let mut add = |stem: Option<&str>, ending: &str| {
        if let Some(stem) = stem.filter(|stem| stem.len() >= 2) {
            forms.push(format!("{stem}{ending}"));
        }
    };
    if word.is_ascii() {
        add(word.strip_suffix('s'), "");
        add(word.strip_suffix("es"), "");
        add(word.strip_suffix("ies"), "y");
        add(word.strip_suffix("ves"), "f");
        add(word.strip_suffix("ves"), "fe");
        add(word.strip_suffix("men"), "man");
    }
    let irregular = IRREGULAR.iter().filter(|(plural, _)| *plural == word);
    forms.extend(irregular.map(|(_, one)| (*one).to_owned()));
    forms
}

/// Whether two words are the same, or one is the English plural of the other.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    one == other || {
        let (one, other) = (forms(one), forms(other));
        one.iter().any(|form| other.contains(form))
    }
}

/// Where `name` stands in `words`, word after word.
pub(super) fn places<'a>(
    words: &'a [String],
    name: &'a [String],
) -> impl Iterator<Item = usize> + 'a {
    let last = words.len().checked_sub(name.len());
    let starts = last.filter(|_| !name.is_empty()).map(|last| 0..=last);
    starts.into_iter().flatten().filter(move |&at| {
        let there = &words[at..at + name.len()];
        there
            .iter()
            .zip(name)
            .all(|(one, other)| is_same(one, other))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_many_scripts() {
        for (text, wanted) in [
            (
                "A T-shirt,  on_the (old) wall!",
                "a|t|shirt|on|the|old|wall",
            ),
            ("the dog's bone \u{2013} isn't it", "the|dog|bone|isn't|it"),
            (
                "HER2+ and HER2-, not -1 - or 2",
                "her2|+|and|her2|-|not|-|1|or|2",
            ),
            (
                "\u{4e00}\u{53ea}\u{732b} cat",
                "\u{4e00}|\u{53ea}|\u{732b}|cat",
            ),
            ("Caf\u{e9} Cafe\u{301}", "caf\u{e9}|caf\u{e9}"),
            ("", ""),
        ] {
            assert_eq!(words(text).join("|"), wanted, "{text}");
        }
    }

    #[test]
    fn plurals_are_the_same_word() {
        for (one, other) in [
            ("dog", "dogs"),
            ("box", "boxes"),
            ("cherries", "cherry"),
            ("knives", "knife"),
            ("wolf", "wolves"),
            ("person", "people"),
            ("fireman", "firemen"),
            ("bus", "buses"),
        ] {
            assert!(is_same(one, other) && is_same(other, one), "{one} {other}");
        }
        for (one, other) in [
            ("dog", "god"),
            ("car", "cart"),
            ("as", "a"),
            ("cat", "cattle"),
        ] {
            assert!(!is_same(one, other), "{one} {other}");
        }
    }
}
