//! Colours and brightness in words.

use promptfed_prompts::Caption;

use super::{CaptionInput, CaptionProblem, Captioner};
use crate::Attributes;

/// Says the colour of the centre, the colour of the border, and the tone: `red on white background, bright`.
///
/// The rules are those the `pocket` generator was trained with, see [`Attributes`].
#[derive(Clone, Copy, Debug, Default)]
pub struct AttributeCaptioner;

impl Captioner for AttributeCaptioner {
    fn name(&self) -> String {
        "attributes".to_owned()
    }

    fn needs_pixels(&self) -> bool {
        true
    }

    fn caption(&self, image: &CaptionInput<'_>) -> Result<Option<Caption>, CaptionProblem> {
        let pixels = image.image.ok_or_else(|| CaptionProblem::NoPixels {
            captioner: self.name(),
        })?;
        Ok(Some(Caption::try_from(Attributes::of(pixels).to_string())?))
    }
}
