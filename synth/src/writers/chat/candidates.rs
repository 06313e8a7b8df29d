//! The prompts in what a language model said, however it wrote them down.

use serde_json::Value;

/// Most bytes of an answer that are looked at.
const MAX_BYTES: usize = 256 << 10;

/// Ends what a model thought aloud.
const END_OF_THOUGHT: &str = "</think>";

/// Names under which models put a prompt, or a list of them, into objects.
const KEYS: [&str; 4] = ["prompts", "prompt", "text", "description"];

/// At most `most` candidates: the strings of a JSON list, also of one that was cut off or stands between other words, else
/// the lines without their bullets, numbers and quotes. Whether they are prompts is for the checks to say.
pub(super) fn candidates(text: &str, most: usize) -> Vec<String> {
    let text = text.rsplit(END_OF_THOUGHT).next().unwrap_or_default();
    let text = &text[..text.floor_char_boundary(MAX_BYTES)];
    let found = of_json(text)
        .or_else(|| of_torn_list(text))
        .unwrap_or_else(|| of_lines(text));
    found.into_iter().take(most).collect()
}

/// The strings of the first JSON list or object that holds any.
fn of_json(text: &str) -> Option<Vec<String>> {
    let starts = text.match_indices(['[', '{']).take(32);
    for (at, _) in starts {
        let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>();
        if let Some(Ok(value)) = values.next() {
            let texts = texts_of(&value);
            if !texts.is_empty() {
                return Some(texts);
            }
        }
    }
    None
}

fn texts_of(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items
            .iter()
            .flat_map(|item| match item {
                Value::String(text) => vec![text.clone()],
                Value::Object(_) => texts_of(item),
                _ => Vec::new(),
            })
            .collect(),
        Value::Object(fields) => {
            let field = KEYS.iter().find_map(|key| fields.get(*key));
            match field {
                Some(Value::String(text)) => vec![text.clone()],
                Some(list @ Value::Array(_)) => texts_of(list),
                _ => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}

/// The whole strings of a list whose end is missing.
fn of_torn_list(text: &str) -> Option<Vec<String>> {
    let open = text.find('[')?;
    let mut rest = text[open + 1..].trim_start();
    let mut texts = Vec::new();
    while rest.starts_with('"') {
        let mut strings = serde_json::Deserializer::from_str(rest).into_iter::<String>();
        let Some(Ok(string)) = strings.next() else {
            break;
        };
        texts.push(string);
        rest = rest[strings.byte_offset()..]
            .trim_start_matches(|c: char| c == ',' || c.is_whitespace());
    }
    (!texts.is_empty()).then_some(texts)
}

fn of_lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(bare);
    lines
        .filter(|line| line.chars().any(char::is_alphanumeric) && !line.ends_with(':'))
        .map(str::to_owned)
        .collect()
}

/// A line without the signs that make it an item of a list.
fn bare(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with("```") {
        return "";
    }
    let line = line
        .trim_start_matches(['-', '*', '\u{2022}', '>'])
        .trim_start();
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let numbered = line[digits..]
        .strip_prefix(['.', ')'])
        .filter(|_| (1..=3).contains(&digits));
    let line = numbered.unwrap_or(line).trim();
    let line = line.trim_end_matches(',');
    line.trim_matches(|c: char| {
        matches!(c, '"' | '`' | '\u{201c}' | '\u{201d}') || c.is_whitespace()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_gives_the_same() {
        for text in [
            r#"["a dog, red", "a dog, blue"]"#,
            "Sure! Here they are:\n```json\n[\n  \"a dog, red\",\n  \"a dog, blue\"\n]\n```\nEnjoy!",
            r#"{"prompts": ["a dog, red", "a dog, blue"]}"#,
            r#"[{"prompt": "a dog, red"}, {"prompt": "a dog, blue"}]"#,
            r#"["a dog, red", "a dog, blue", "a dog, gre"#,
            "1. a dog, red\n2) \"a dog, blue\"\n",
            "- a dog, red\n\n* `a dog, blue`",
            "Here are two prompts:\na dog, red\n\u{2022} \u{201c}a dog, blue\u{201d},",
            "<think>[\"hm\"] the user wants\n</think>\n[\"a dog, red\", \"a dog, blue\"]",
        ] {
            assert_eq!(candidates(text, 5), ["a dog, red", "a dog, blue"], "{text}");
        }
        assert_eq!(candidates("a\nb\nc", 2), ["a", "b"]);
        assert!(candidates("", 5).is_empty());
        assert_eq!(candidates("[1] 2024 dogs", 5), ["[1] 2024 dogs"]);
    }

    #[test]
    fn large_answers_are_bounded() {
        let text = "[".repeat(1 << 20);
        assert!(candidates(&text, 5).is_empty());
        let text = format!("{}\u{e9}", "x".repeat(MAX_BYTES - 1));
        assert_eq!(candidates(&text, 5).len(), 1);
    }

    proptest! {
        #[test]
        fn nothing_panics_and_the_number_is_kept(text in "[\\[\\]{}\",:a-z0-9. \\n\u{e9}-]{0,200}", most in 0_usize..5) {
            prop_assert!(candidates(&text, most).len() <= most);
        }
    }
}
