//! Prompts that are longer than a text encoder takes.

/// Most windows that a prompt is read in: 1200 tokens of an encoder that takes 75.
const MOST: usize = 16;

/// What becomes of prompts that are longer than the text encoders take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LongPrompts {
    /// Their end is not read, as in diffusers.
    #[default]
    Cut,
    /// They are encoded in windows of the encoders' length, each with its own start and end, whose features stand one behind the other; pooled
    /// features are the first window's. A shorter prompt beside a longer one, as a negative one, is filled up with windows of the empty text.
    Chunk,
}

impl LongPrompts {
    /// Most windows that are read.
    pub(super) fn most_windows(self) -> usize {
        match self {
            Self::Cut => 1,
            Self::Chunk => MOST,
        }
    }
}
