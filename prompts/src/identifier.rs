//! Names that stand for something else: numbers, WordNet ids, ids of people and files.

/// Words that say what is counted: with a number behind them they name one of many, and nothing that can be seen.
const COUNTED: [&str; 28] = [
    "patient",
    "pat",
    "subject",
    "subj",
    "sub",
    "case",
    "person",
    "participant",
    "donor",
    "specimen",
    "slide",
    "study",
    "series",
    "session",
    "visit",
    "scan",
    "exam",
    "user",
    "id",
    "pid",
    "uid",
    "img",
    "image",
    "frame",
    "sample",
    "record",
    "class",
    "label",
];

/// Whether a name is an id and no word: a number (`0`, `-1`, `0017`), a WordNet id (`n01440764`, alone or in
/// brackets after a word), hexadecimal digits as of a hash or UUID, a few letters before a number with leading
/// zeros or of four digits and more (`P0012`, `IM_0001`), or a word for what is counted before any number (`patient 7`).
///
/// Such a name says nothing to a generator, and may say more than it should of whom the images show. Words with a
/// number (`A320`, `boeing 737`) are no ids.
pub fn is_identifier(name: &str) -> bool {
    let name = name.trim();
    let words = || name.split(|c: char| !c.is_ascii_alphanumeric());
    is_number(name) || words().any(is_wordnet_id) || is_hexadecimal(name) || is_numbered(name)
}

fn is_number(name: &str) -> bool {
    let digits = name.strip_prefix(['+', '-']).unwrap_or(name);
    digits.chars().any(char::is_numeric)
        && digits
            .chars()
            .all(|c| c.is_numeric() || matches!(c, '.' | '_'))
}

fn is_wordnet_id(word: &str) -> bool {
    let digits = word.strip_prefix(['n', 'N']).unwrap_or_default();
    digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit())
}

fn is_hexadecimal(name: &str) -> bool {
    let digits: String = name.chars().filter(|&c| c != '-').collect();
    digits.len() >= 8
        && digits.bytes().all(|b| b.is_ascii_hexdigit())
        && digits.bytes().any(|b| b.is_ascii_digit())
}

fn is_numbered(name: &str) -> bool {
    let letters = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = &name[letters.len()..];
    let letters = letters.trim_end_matches(['-', '_', '.', ' ']);
    let is_short = letters.len() <= 8 && letters.bytes().all(|b| b.is_ascii_alphabetic());
    let is_counted = COUNTED
        .iter()
        .any(|word| word.eq_ignore_ascii_case(letters));
    let is_long = digits.len() >= 4 || digits.len() >= 2 && digits.starts_with('0');
    is_short && is_long || is_counted && !digits.is_empty() || is_coded(name)
}

/// Whether a word for what is counted stands before a code with a number in it, as `patient_a12` or `case 7-b`.
fn is_coded(name: &str) -> bool {
    let Some((word, code)) = name.split_once(['-', '_', '.', ' ']) else {
        return false;
    };
    COUNTED.iter().any(|w| w.eq_ignore_ascii_case(word))
        && !code.contains(char::is_whitespace)
        && code.bytes().any(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::is_identifier;

    #[test]
    fn ids_are_told_from_words() {
        for id in [
            "0",
            "-1",
            "400",
            "0017",
            "1.2.840.113619",
            "n01440764",
            "crane (n02012849)",
            "3f2a9c1d",
            "550e8400-e29b-41d4-a716-446655440000",
            "P0012",
            "IM_0001",
            "subject-00017",
            "TCGA2041",
            "patient7",
            "Subject 12",
            "class_0",
            "subject_a1",
            "Patient-7-b",
        ] {
            assert!(is_identifier(id), "{id}");
        }
        for word in [
            "cat",
            "HER2+",
            "A320",
            "737-800",
            "boeing 737",
            "T-shirt/top",
            "B52",
            "facade",
            "beef",
            "007 bond",
            "F-16",
            "St. Bernard",
            "\u{ac15}\u{c544}\u{c9c0}",
            "covid19",
            "",
            "golf_ball",
            "case of 12 bottles",
            "slide projector",
        ] {
            assert!(!is_identifier(word), "{word}");
        }
    }
}
