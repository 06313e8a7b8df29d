//! The prompts of a job.

use super::JobArgs;
use crate::commands::data;
use crate::exit::BadInput;
use anyhow::{Context as _, Result};
use promptfed_prompts::{ClassIndex, LabelSpace, RenderedPrompt};
use promptfed_synth::{ImageSeed, ListFormat, PromptSource, classes_of};
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
    prompts_file(path, args.label_space.as_deref())
}

/// The prompts of a file: of `promptfed extract`, JSON lines with rendered ones, or a plain list of texts.
pub(crate) fn prompts_file(path: &Path, label_space: Option<&str>) -> Result<PromptSource> {
    if let Some(format) = list_format(path) {
        return list(path, format, label_space);
    }
    if is_json_lines(path) {
        let name = label_space.ok_or_else(|| {
            let text = format!("{} names classes: give their --label-space", path.display());
            anyhow::Error::msg(text).context(BadInput)
        })?;
        return Ok(PromptSource::JsonLines {
            path: path.to_owned(),
            label_space: data::label_space(name)?,
        });
    }
    let (prompts, label_space) = data::prompt_set(path, label_space)?;
    Ok(PromptSource::Set {
        prompts,
        label_space,
    })
}

/// The seed that image `index` of a job with `--prompt` has.
pub(super) fn seed_of(args: &JobArgs, index: u64) -> ImageSeed {
    ImageSeed::derive(args.seed.value, ClassIndex::new(0), &text(args), index)
}

/// The one prompt of --prompt.
fn text(args: &JobArgs) -> RenderedPrompt {
    RenderedPrompt {
        positive: args.prompt.clone().unwrap_or_default(),
        negative: args.negative.clone().unwrap_or_default(),
    }
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let found = path.extension().unwrap_or_default();
    extensions.iter().any(|e| found.eq_ignore_ascii_case(e))
}

fn is_json_lines(path: &Path) -> bool {
    has_extension(path, &["jsonl", "ndjson"])
}

fn begins_as_json(path: &Path) -> bool {
    use std::io::Read;
    let mut start = Vec::new();
    let read = promptfed_files::open_regular(path)
        .is_ok_and(|file| file.take(64).read_to_end(&mut start).is_ok());
    read && start.trim_ascii_start().starts_with(b"{")
}

fn list_format(path: &Path) -> Option<ListFormat> {
    match path {
        // A JSON file under another name is read as what it is.
        path if has_extension(path, &["txt"]) && !begins_as_json(path) => Some(ListFormat::Lines),
        path if has_extension(path, &["csv"]) => Some(ListFormat::Csv),
        _ => None,
    }
}

/// The prompts of a plain list. Without a label space its classes are those that it names, by name, or one, `image`, where it names none.
fn list(path: &Path, format: ListFormat, label_space: Option<&str>) -> Result<PromptSource> {
    let label_space = match label_space {
        Some(name) => data::label_space(name)?,
        None => {
            let mut classes = classes_of(path, format)?;
            if classes.is_empty() {
                classes.push("image".to_owned());
            }
            let names = classes.iter().map(String::as_str);
            LabelSpace::from_names("prompts", names).with_context(|| path.display().to_string())?
        }
    };
    Ok(PromptSource::List {
        path: path.to_owned(),
        format,
        label_space,
    })
}
