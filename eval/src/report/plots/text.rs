//! Texts where there is no browser to break or to cut them.

/// Width of a character at 13 pixels, in pixels: of most fonts a little less.
pub(super) const CHARACTER: f64 = 7.2;

/// The first characters of a text that is longer than `most`, with an ellipsis.
pub(super) fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{}\u{2026}", kept.trim_end())
}

/// At most `lines` lines of at most `width` characters, broken between words; what does not fit is cut.
pub(super) fn wrap(text: &str, width: usize, lines: usize) -> Vec<String> {
    let mut wrapped: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let word = short(word, width);
        let fits = |line: &&mut String| line.chars().count() + 1 + word.chars().count() <= width;
        match wrapped.last_mut().filter(fits) {
            Some(line) => {
                line.push(' ');
                line.push_str(&word);
            }
            None => wrapped.push(word),
        }
    }
    if wrapped.len() > lines {
        wrapped.truncate(lines);
        if let Some(last) = wrapped.last_mut() {
            *last = short(&format!("{last} \u{2026}"), width);
        }
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn long_texts_are_cut_at_characters() {
        assert_eq!(short("grün", 4), "grün");
        assert_eq!(short("grünlich", 5), "grün\u{2026}");
        assert_eq!(short("a bcd", 3), "a\u{2026}");
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrap("one two three", 7, 3), ["one two", "three"]);
        assert_eq!(wrap("one  two", 20, 1), ["one two"]);
        assert_eq!(wrap("one two three", 7, 1), ["one tw\u{2026}"]);
        assert!(wrap("", 7, 3).is_empty());
    }

    proptest! {
        #[test]
        fn no_line_is_too_long_and_none_too_many(text in any::<String>(), width in 2usize..30, lines in 1usize..4) {
            let wrapped = wrap(&text, width, lines);
            prop_assert!(wrapped.len() <= lines);
            prop_assert!(wrapped.iter().all(|line| line.chars().count() <= width), "{wrapped:?}");
        }
    }
}
