//! Saying nothing.

use promptfed_prompts::Caption;

use super::{CaptionInput, CaptionProblem, Captioner};

/// Writes no captions: for class and domain level.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCaptioner;

impl NoCaptioner {
    /// The name of [`NoCaptioner`].
    pub const NAME: &str = "none";
}

impl Captioner for NoCaptioner {
    fn name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn needs_pixels(&self) -> bool {
        false
    }

    fn caption(&self, _: &CaptionInput<'_>) -> Result<Option<Caption>, CaptionProblem> {
        Ok(None)
    }
}
