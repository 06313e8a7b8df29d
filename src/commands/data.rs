//! Flags that say where data, classes and templates come from.

use crate::Context;
use crate::exit::BadInput;
use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use promptfed_data::{Dataset, DatasetWarning, DecodeOptions, DecodeReport, Layout, OpenOptions};
use promptfed_prompts::{LabelSpace, MAX_DECODED_BYTES, PromptSet, TemplateSet};
use promptfed_synth::fuse::{is_fused, open_fused, open_fused_as};
use std::path::{Path, PathBuf};

/// Most bytes of a label space or template file that are read.
const MAX_TOML_BYTES: u64 = 64 << 20;

/// Most bytes of a prompt file that are read: of UTF-16 twice as many as may travel.
const MAX_PROMPT_BYTES: u64 = 2 * MAX_DECODED_BYTES as u64;

/// How to read a data set.
#[derive(Args, Debug, Clone)]
pub(crate) struct ReadArgs {
    /// How the data lies on disk; needed where it is not certain which folders are the classes
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) layout: LayoutArg,
    /// Which split to read (train, test, ...): a folder, or a word in the names of lists or Parquet files
    #[arg(long)]
    pub(crate) split: Option<String>,
    /// Classes: a built-in name (imagenette, imagefruit, imageyellow, imagesquawk, pacs, domainnet10, emoji) or a TOML
    /// file; without it the classes are those of the data
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) label_space: Option<String>,
    /// Make the first unreadable picture an error instead of skipping it
    #[arg(long)]
    pub(crate) strict: bool,
}

/// [`Layout`] on the command line.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LayoutArg {
    /// Find out
    Auto,
    /// CLASS/picture, also in folders below a class; classes by name or ImageNet wnid
    ClassFolders,
    /// DOMAIN/CLASS/picture, as PACS
    DomainFolders,
    /// Lists of path and label, as DomainNet's <domain>_<split>.txt
    DomainnetLists,
    /// Parquet with the hub's columns: a file or a folder of shards
    Parquet,
}

impl From<LayoutArg> for Layout {
    fn from(arg: LayoutArg) -> Self {
        match arg {
            LayoutArg::Auto => Self::Auto,
            LayoutArg::ClassFolders => Self::ClassFolders,
            LayoutArg::DomainFolders => Self::DomainFolders,
            LayoutArg::DomainnetLists => Self::DomainNetLists,
            LayoutArg::Parquet => Self::Parquet,
        }
    }
}

impl ReadArgs {
    /// The file of the label space, where one is named.
    pub(crate) fn label_space_file(&self) -> Option<&Path> {
        named_file(self.label_space.as_deref(), &LabelSpace::builtin_names())
    }

    /// Opens `path` and finds its classes.
    pub(crate) fn open(&self, path: &Path) -> Result<(Dataset, LabelSpace)> {
        self.open_for(path, None)
    }

    /// [`ReadArgs::open`] with the classes that a round has agreed on, where there is one.
    pub(crate) fn open_for(
        &self,
        path: &Path,
        agreed: Option<LabelSpace>,
    ) -> Result<(Dataset, LabelSpace)> {
        let label_space = match (agreed, &self.label_space) {
            (Some(agreed), _) => Some(agreed),
            (None, Some(name)) => Some(label_space(name)?),
            (None, None) => None,
        };
        let dataset = open(
            path,
            self.layout.into(),
            self.split.clone(),
            label_space.as_ref(),
        )?;
        self.refuse_dangling(&dataset)?;
        let label_space = match label_space {
            Some(space) => space,
            None => LabelSpace::from_names("data", dataset.class_names.iter().map(String::as_str))?,
        };
        Ok((dataset, label_space))
    }

    /// With --strict, refuses links that lead nowhere: nobody knows what pictures they were.
    pub(crate) fn refuse_dangling(&self, dataset: &Dataset) -> Result<()> {
        let dangling = dataset.warnings.iter().find_map(|warning| match warning {
            DatasetWarning::DanglingLink { path } => Some(path),
            _ => None,
        });
        match dangling.filter(|_| self.strict) {
            None => Ok(()),
            Some(link) => Err(anyhow::Error::new(BadInput).context(format!(
                "{} is a link that leads nowhere; remove it, or leave out --strict",
                link.display()
            ))),
        }
    }

    /// Decoding with this strictness.
    pub(crate) fn decode(&self) -> DecodeOptions {
        DecodeOptions {
            strict: self.strict,
            ..DecodeOptions::default()
        }
    }
}

/// Opens a data set whose labels follow `label_space`, where one is given, and tells what was left out.
pub(crate) fn open(
    path: &Path,
    layout: Layout,
    split: Option<String>,
    label_space: Option<&LabelSpace>,
) -> Result<Dataset> {
    let is_set = promptfed_synth::is_job(path) || is_fused(path);
    let dataset = if layout == Layout::Auto && is_set {
        open_set(path, split, label_space)?
    } else {
        let options = OpenOptions {
            layout,
            label_space: label_space.cloned(),
            split,
        };
        promptfed_data::open(path, &options)?
    };
    for warning in DatasetWarning::by_kind(&dataset.warnings) {
        eprintln!("warning: {warning}");
    }
    if dataset.is_empty() {
        return Err(anyhow::Error::new(promptfed_data::DataError::Mismatch(
            format!(
                "{} holds no image of the label space's classes; check --label-space and --split",
                path.display()
            ),
        )));
    }
    Ok(dataset)
}

/// Opens the folder of `promptfed synth` by its manifest, or that of `promptfed fuse` by its references: they know classes, domains and
/// captions as they were given.
fn open_set(
    path: &Path,
    split: Option<String>,
    label_space: Option<&LabelSpace>,
) -> Result<Dataset> {
    let fused = is_fused(path);
    if let Some(split) = split {
        let what = if fused {
            "a fused set"
        } else {
            "a synthesis job"
        };
        return Err(anyhow::Error::new(BadInput).context(format!(
            "{} is the folder of {what}, which has no split {split:?}; leave out --split",
            path.display()
        )));
    }
    Ok(match (fused, label_space) {
        (false, Some(space)) => promptfed_synth::open_images_as(path, space)?,
        (false, None) => promptfed_synth::open_images(path)?,
        (true, Some(space)) => open_fused_as(path, space)?,
        (true, None) => open_fused(path)?,
    })
}

/// Tells what each part of the data was taken for.
pub(crate) fn tell_parts(dataset: &Dataset, context: &Context) {
    context
        .progress
        .note(&format!("read as {}", dataset.taken_for()));
}

/// Everything that was left out or not used, one by one.
pub(crate) fn warnings(dataset: &Dataset, report: &DecodeReport) -> Vec<String> {
    let listed = dataset.warnings.iter().map(ToString::to_string);
    let skipped = report.skipped.iter().map(ToString::to_string);
    listed.chain(skipped).collect()
}

/// Tells what was left out, a line for each kind.
pub(crate) fn tell(left_out_by_kind: &[String]) {
    for line in left_out_by_kind {
        eprintln!("warning: left out {line}");
    }
}

/// [`tell`] for pictures that were skipped in decoding; also what was done to those that were not.
pub(crate) fn tell_decoded(report: &DecodeReport) {
    tell(&report.by_kind());
    tell_changed(report);
}

/// Tells what decoding changed in pictures, by kind with a count.
pub(crate) fn tell_changed(report: &DecodeReport) {
    for note in report.notes() {
        eprintln!("note: {note}");
    }
}

/// A built-in label space, or one from a TOML file.
pub(crate) fn label_space(name: &str) -> Result<LabelSpace> {
    if LabelSpace::builtin_names().contains(&name) {
        return Ok(LabelSpace::builtin(name)?);
    }
    let text = read_named("label space", name, &LabelSpace::builtin_names())?;
    LabelSpace::from_toml(&text).with_context(|| name.to_owned())
}

/// A built-in template set, or one from a TOML file.
pub(crate) fn template_set(name: &str) -> Result<TemplateSet> {
    if TemplateSet::builtin_names().contains(&name) {
        return Ok(TemplateSet::builtin(name)?);
    }
    let text = read_named("template set", name, &TemplateSet::builtin_names())?;
    TemplateSet::from_toml(&text).with_context(|| name.to_owned())
}

/// The file that a name stands for which is not built in.
fn named_file<'a>(name: Option<&'a str>, builtin: &[&str]) -> Option<&'a Path> {
    name.filter(|name| !builtin.contains(name)).map(Path::new)
}

/// The file of a template set that is not built in.
pub(crate) fn template_file(name: &str) -> Option<&Path> {
    named_file(Some(name), &TemplateSet::builtin_names())
}

fn read_named(what: &str, name: &str, builtin: &[&str]) -> Result<String> {
    // What is there and no regular file is told as that.
    if !Path::new(name).exists() {
        return Err(anyhow::Error::new(BadInput).context(format!(
            "`{name}` is neither a file nor a built-in {what}; built in are {}",
            builtin.join(", ")
        )));
    }
    Ok(promptfed_files::read_text(Path::new(name), MAX_TOML_BYTES)?)
}

/// Reads `prompts.json` with its label space: the one given, else the built-in one that it was made for.
pub(crate) fn prompt_set(path: &Path, space: Option<&str>) -> Result<(PromptSet, LabelSpace)> {
    let json = prompt_text(path)?;
    if let Some(name) = space {
        let space = label_space(name)?;
        let set =
            PromptSet::from_json(&json, &space).with_context(|| path.display().to_string())?;
        return Ok((set, space));
    }
    for name in LabelSpace::builtin_names() {
        let space = LabelSpace::builtin(name)?;
        match PromptSet::from_json(&json, &space) {
            Ok(set) => return Ok((set, space)),
            Err(promptfed_prompts::Error::WrongLabelSpace { .. }) => {}
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        }
    }
    Err(anyhow::Error::new(BadInput).context(format!(
        "{} was made for classes that are not built in; name them with --label-space FILE",
        path.display()
    )))
}

/// Reads the text of `prompts.json`.
pub(crate) fn prompt_text(path: &Path) -> Result<String> {
    Ok(promptfed_files::read_text(path, MAX_PROMPT_BYTES)?)
}

/// The bundled weights and drawings.
pub(crate) fn assets() -> Result<PathBuf> {
    Ok(promptfed_synth::bundled_assets()?)
}
