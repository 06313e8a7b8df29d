//! The prompts of a job.

use super::Args;
use crate::commands::data;
use anyhow::{Context as _, Result};
use promptfed_prompts::{ClassIndex, ContentHash, LabelSpace, RenderedPrompt};
use promptfed_synth::{ImageSeed, PromptSource};
use serde_json::json;
use std::path::Path;

/// The prompts that the command line names.
pub(super) fn source(args: &Args) -> Result<PromptSource> {
    if let Some(prompt) = &args.prompt {
        let row = json!({ "class": "image", "prompt": prompt, "negative": args.negative });
        fs_err::create_dir_all(&args.out)?;
        let line = format!("{row}\n");
        // Named by its content, so that a refused job leaves an earlier job's prompt alone.
        let hash = ContentHash::of(line.as_bytes()).to_string();
        let path = args.out.join(format!("prompt-{}.jsonl", &hash[..16]));
        fs_err::write(&path, line)?;
        let label_space = LabelSpace::from_names("prompt", ["image"])?;
        return Ok(PromptSource::JsonLines { path, label_space });
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
pub(super) fn seed_of(args: &Args, index: u64) -> ImageSeed {
    let text = RenderedPrompt {
        positive: args.prompt.clone().unwrap_or_default(),
        negative: args.negative.clone(),
    };
    ImageSeed::derive(args.seed, ClassIndex::new(0), &text, index)
}

fn is_json_lines(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| e == "jsonl" || e == "ndjson")
}
