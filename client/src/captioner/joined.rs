//! Several captioners one after the other.

use promptfed_prompts::Caption;

use super::{CaptionInput, CaptionProblem, Captioner};

/// Joins what its captioners say with `, `, in their order; those with nothing to say are left out.
#[derive(Debug)]
pub struct JoinedCaptioner {
    parts: Vec<Box<dyn Captioner>>,
}

impl JoinedCaptioner {
    /// Joins `parts`.
    pub fn new(parts: Vec<Box<dyn Captioner>>) -> Self {
        Self { parts }
    }
}

impl Captioner for JoinedCaptioner {
    fn name(&self) -> String {
        let names: Vec<_> = self.parts.iter().map(|part| part.name()).collect();
        names.join("+")
    }

    fn needs_pixels(&self) -> bool {
        self.parts.iter().any(|part| part.needs_pixels())
    }

    fn caption(&self, image: &CaptionInput<'_>) -> Result<Option<Caption>, CaptionProblem> {
        let mut said: Vec<String> = Vec::new();
        for part in &self.parts {
            said.extend(part.caption(image)?.map(String::from));
        }
        if said.is_empty() {
            return Ok(None);
        }
        Ok(Some(Caption::try_from(said.join(", "))?))
    }
}
