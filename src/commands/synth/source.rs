//! The prompts of a job.

use super::JobArgs;
use crate::commands::data;
use anyhow::{Context as _, Result};
use promptfed_prompts::{ClassIndex, LabelSpace, RenderedPrompt};
use promptfed_synth::{ImageSeed, PromptSource};
use std::path::Path;

/// The prompts that the command line names.
pub(super) fn source(args: &JobArgs) -> Result<PromptSource> {
    if args.prompt.is_some() {
        return Ok(PromptSource::One {
            text: text(args),
            label_space: LabelSpace::from_names("prompt", ["image"])?,
        });
    }
    let path = args
        .prompts
        .as_deref()
        .context("give --prompts FILE or --prompt TEXT")?;
    if is_json_lines(path) {
        let name = args.label_space.as_deref().with_context(|| {
            format!("{} names classes: give their --label-space", path.display())
        })?;
        return Ok(PromptSource::JsonLines {
            path: path.to_owned(),
            label_space: data::label_space(name)?,
        });
    }
    let (prompts, label_space) = data::prompt_set(path, args.label_space.as_deref())?;
    Ok(PromptSource::Set {
        prompts,
        label_space,
    })
}

/// The seed that image `index` of a job with `--prompt` has.
pub(super) fn seed_of(args: &JobArgs, index: u64) -> ImageSeed {
    ImageSeed::derive(args.seed, ClassIndex::new(0), &text(args), index)
}

/// The one prompt of --prompt.
fn text(args: &JobArgs) -> RenderedPrompt {
    RenderedPrompt {
        positive: args.prompt.clone().unwrap_or_default(),
        negative: args.negative.clone(),
    }
}

fn is_json_lines(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("jsonl") || e.eq_ignore_ascii_case("ndjson"))
}
