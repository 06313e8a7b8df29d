//! What of a job's prompts has no effect on its images.

use super::cut_prompts::CutPrompts;
use super::plan::Survey;
use super::spec::{ImageBudget, JobSpec, Spread};
use crate::{Generator, Result};

/// What of the prompts has no effect or is not read, in words with the remedy, before any image is made. Reads all prompts up to
/// three times.
///
/// # Errors
/// A faulty prompt.
pub fn notes(generator: &dyn Generator, spec: &JobSpec) -> Result<Vec<String>> {
    notes_of(&Survey::of(&spec.prompts, |_| Ok(()))?, generator, spec)
}

/// [`notes`] of prompts that were surveyed.
pub(super) fn notes_of(
    survey: &Survey,
    generator: &dyn Generator,
    spec: &JobSpec,
) -> Result<Vec<String>> {
    let mut notes = survey.notes(spec, generator.takes_negatives());
    if !generator.reads_weights() {
        notes.extend(survey.weighted.note(survey.prompts));
    }
    notes.extend(CutPrompts::find(generator, spec)?.notes());
    Ok(notes)
}

impl Survey {
    fn notes(&self, spec: &JobSpec, takes_negatives: bool) -> Vec<String> {
        let mut notes = Vec::new();
        let &Survey {
            prompts,
            counted,
            negatives,
            ..
        } = self;
        if negatives > 0 {
            let of = format!("the negative text of {negatives} of {prompts} prompts has no effect");
            if !takes_negatives {
                notes.push(format!("{of}: this engine's network takes none"));
            } else if spec.guidance.is_off() {
                notes.push(format!("{of}: guidance is 1; more leads away from it"));
            }
        }
        let by_count = matches!(
            spec.images,
            ImageBudget::Total {
                spread: Spread::ByCount,
                ..
            }
        );
        if by_count && counted < prompts {
            let without = prompts - counted;
            notes.push(format!(
                "{without} of {prompts} prompts have no count and stand for one private image each"
            ));
        } else if !by_count && counted > 0 {
            notes.push(format!(
                "the counts of {counted} of {prompts} prompts have no effect; a number of images in all that is spread by count heeds them"
            ));
        }
        notes
    }
}
