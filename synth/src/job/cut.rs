//! Where an engine ceases to read a prompt.

use promptfed_prompts::RenderedPrompt;

use crate::Generator;

/// A text, parted where the engine ceases to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parted<'t> {
    pub(super) whole: &'t str,
    pub(super) read: &'t str,
    pub(super) cut: Option<&'t str>,
}

impl<'t> Parted<'t> {
    fn of(engine: &dyn Generator, text: &'t str) -> Self {
        let cut = engine.cut(text);
        let read = cut.and_then(|cut| text.strip_suffix(cut)).unwrap_or(text);
        Self {
            whole: text,
            read: read.trim_end(),
            cut,
        }
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
