//! Weights of words, as `(red:1.3)`, which other programs read and the engines here do not.

use promptfed_prompts::RenderedPrompt;

use super::prompts::PromptSource;
use crate::Result;

/// Prompts in which words have weights.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Weighted {
    prompts: u64,
    /// The first weight of the first of them, as it is written.
    first: String,
}

impl Weighted {
    pub(super) fn add(&mut self, text: &RenderedPrompt) {
        let texts = [&text.positive, &text.negative];
        let Some(weight) = texts.into_iter().find_map(|text| weight_in(text)) else {
            return;
        };
        if self.prompts == 0 {
            weight.clone_into(&mut self.first);
        }
        self.prompts += 1;
    }

    /// What there is to tell, of so many prompts in all.
    pub(super) fn note(&self, of: u64) -> Option<String> {
        let Self { prompts, first } = self;
        (*prompts > 0).then(|| {
            format!(
                "{prompts} of {of} prompts have weights as {first:?}: they are plain text here, brackets and numbers included; leave them out"
            )
        })
    }
}

/// That prompts have weights as `(red:1.3)`, which are plain text, with their number; `None` where none has.
///
/// # Errors
/// A faulty prompt.
pub fn weights_note(source: &PromptSource) -> Result<Option<String>> {
    let (mut weighted, mut prompts) = (Weighted::default(), 0);
    for prompt in source.read()? {
        weighted.add(&prompt?.text);
        prompts += 1;
    }
    Ok(weighted.note(prompts))
}

/// Bytes before a closing bracket in which its opening one is looked for.
const SHOWN: usize = 60;

/// The first `(words:number)` in a text. Numbers before the colon are taken for a ratio or a time.
fn weight_in(text: &str) -> Option<&str> {
    let mut ends = text.match_indices(')').map(|(end, _)| end);
    ends.find_map(|end| {
        let start = text.floor_char_boundary(end.saturating_sub(SHOWN));
        let near = &text[start..=end];
        let (words, number) = near[..near.len() - 1].rsplit_once(':')?;
        let number = number.trim();
        let is_number = !number.is_empty()
            && number.bytes().any(|b| b.is_ascii_digit())
            && number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let open = words.rfind('(')?;
        let said = words[open + 1..].trim_end();
        let is_said = said.chars().last().is_some_and(|c| !c.is_ascii_digit());
        (is_number && is_said).then_some(&near[open..])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_known_by_their_form() {
        for (text, weight) in [
            ("a (red:1.3) car", Some("(red:1.3)")),
            ("a car, (very shiny: 2 )", Some("(very shiny: 2 )")),
            ("((dark) red:1.3)", Some("(dark) red:1.3)")),
            ("a (wide) road at (12:30)", None),
            ("a film (16:9)", None),
            ("[red], {red}, (red), red:1.3", None),
            ("a (red:much) car", None),
            ("(:1.3)", None),
            ("ein (größer:1.2) Hund", Some("(größer:1.2)")),
        ] {
            assert_eq!(weight_in(text), weight, "{text}");
        }
    }

    #[test]
    fn they_are_counted_by_prompts() {
        let mut weighted = Weighted::default();
        for (positive, negative) in [
            ("a (red:1.3) and (blue:0.5) car", ""),
            ("a car", "(blurry:1.5)"),
            ("a car", ""),
        ] {
            weighted.add(&RenderedPrompt {
                positive: positive.to_owned(),
                negative: negative.to_owned(),
            });
        }
        let told = weighted.note(3).unwrap();
        assert!(
            told.starts_with("2 of 3 prompts") && told.contains("(red:1.3)"),
            "{told}"
        );
        assert_eq!(Weighted::default().note(3), None);
    }
}
