//! Where an engine ceases to read a prompt.

use promptfed_prompts::RenderedPrompt;

use crate::Generator;

/// A text, parted where the engine ceases to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parted<'t> {
    pub(super) read: &'t str,
    pub(super) cut: Option<&'t str>,
    /// Whether no space lies between the two.
    is_joined: bool,
}

impl<'t> Parted<'t> {
    fn of(engine: &dyn Generator, text: &'t str) -> Self {
        let cut = engine.cut(text);
        let read = cut.and_then(|cut| text.strip_suffix(cut)).unwrap_or(text);
        Self {
            read: read.trim_end(),
            cut,
            is_joined: cut.is_some() && !read.ends_with(char::is_whitespace),
        }
    }

    /// What tells the first part of a word from the same letters as a whole word, which read as another token.
    pub(super) fn joint(&self) -> &'static str {
        if self.is_joined { "-" } else { "" }
    }
}

/// What an engine reads of a prompt's texts, and what it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading<'t> {
    pub(super) positive: Parted<'t>,
    /// Nothing where negative prompts have no effect.
    pub(super) negative: Parted<'t>,
}

impl<'t> Reading<'t> {
    pub(super) fn of(
        engine: &dyn Generator,
        text: &'t RenderedPrompt,
        heeds_negatives: bool,
    ) -> Self {
        Self {
            positive: Parted::of(engine, &text.positive),
            negative: if heeds_negatives {
                Parted::of(engine, &text.negative)
            } else {
                Parted::default()
            },
        }
    }

    pub(super) fn is_cut(&self) -> bool {
        self.positive.cut.is_some() || self.negative.cut.is_some()
    }
}
