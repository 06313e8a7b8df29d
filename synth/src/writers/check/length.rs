//! Not too long.

use super::{Candidate, Reason, Refusal, Rule};

/// At most so many characters.
pub(super) struct Length(pub(super) usize);

impl Rule for Length {
    fn refuse(&self, candidate: &Candidate<'_>) -> Option<Refusal> {
        let characters = candidate.text.chars().count();
        (characters > self.0)
            .then(|| Refusal::new(Reason::TooLong, format!("{characters} characters")))
    }
}

#[cfg(test)]
mod tests {
    use crate::writers::check::Reason;
    use crate::writers::check::tests::refused;

    #[test]
    fn characters_count_and_not_bytes() {
        let text = |n: usize| format!("a dog {}", "\u{e9}".repeat(n - 6));
        assert_eq!(refused(&["dog"], 0, "", &text(190)), None);
        let long = format!("a dog {}", "red ".repeat(80));
        assert_eq!(refused(&["dog"], 0, "", &long), Some(Reason::TooLong));
    }
}
