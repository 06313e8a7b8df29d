//! The folder of a CLIP or BLIP model, before any weight is read: whether it is one, and of the right kind.

use std::path::{Path, PathBuf};

use candle_core::Device;
use promptfed_nn::load::Loader;
use promptfed_nn::load::folder::{Preferred, model_fault, open_weights as open};
use serde_json::Value;

use crate::kind::Kind;
use crate::section::Section;
use crate::{Error, Result};

/// Endings of weights that are not read.
const OTHER_WEIGHTS: [&str; 9] = [
    "bin", "pt", "pth", "ckpt", "h5", "msgpack", "onnx", "gguf", "npz",
];

/// Reads `config.json`, which must be that of a model of `kind`.
///
/// # Errors
/// No folder, a name on a hub, a file in place of a folder, a model of another kind or made for another task.
pub(crate) fn config(folder: &Path, kind: Kind) -> Result<Section> {
    if !folder.is_dir() {
        return Err(no_folder(folder, kind));
    }
    let file = folder.join("config.json");
    if !file.is_file() {
        return Err(model_fault(folder, without_config(folder)).into());
    }
    let config = Section::read(&file)?;
    if let Some(found) = config.text("model_type")?
        && found != kind.model_type()
    {
        return Err(config.fault("model_type", &other_kind(found, kind)));
    }
    let wanted = kind.architecture();
    let named = config.get("architectures").and_then(Value::as_array);
    if named.is_some_and(|names| !names.is_empty() && names.iter().all(|name| name != wanted)) {
        let reason = format!(
            "it is made for another task; a {} that {} is needed, such as {}",
            wanted,
            kind.purpose(),
            kind.example()
        );
        return Err(config.fault("architectures", &reason));
    }
    Ok(config)
}

/// Opens `model.safetensors` or its parts.
///
/// # Errors
/// Weights that are missing or kept in another format.
pub(crate) fn open_weights(folder: &Path, kind: Kind) -> Result<Loader> {
    open(folder, Preferred::Full, &Device::Cpu).map_err(|error| {
        let others = files_of(folder, &OTHER_WEIGHTS);
        match others.first() {
            Some(first) if files_of(folder, &["safetensors"]).is_empty() => {
                let more = match others.len() - 1 {
                    0 => String::new(),
                    more => format!(" (and {more} more like it)"),
                };
                let reason = format!(
                    "weights of this format{more} are not read, since loading them may run code; download model.safetensors, \
                     or convert them once where they are trusted: python -c \"from transformers import {class}; \
                     {class}.from_pretrained('{folder}').save_pretrained('{folder}')\"",
                    class = kind.architecture(),
                    folder = folder.display(),
                );
                model_fault(first, reason).into()
            }
            _ => Error::from(error),
        }
    })
}

fn no_folder(folder: &Path, kind: Kind) -> Error {
    if folder.is_file() {
        let reason = "it is a file; give the folder that holds config.json and the weights";
        return model_fault(folder, reason.into()).into();
    }
    let name = folder.to_string_lossy();
    let reason = if is_on_a_hub(&name) {
        let own = name.rsplit('/').next().unwrap_or_default();
        format!(
            "there is no such folder, and no model is downloaded here; if it is a name on the Hugging Face hub, run \
             `hf download {name} --local-dir {own}` and give the folder {own}"
        )
    } else {
        format!(
            "there is no such folder; give one that holds config.json and the weights of a {} model, such as a download of {}",
            kind.name(),
            kind.example()
        )
    };
    model_fault(folder, reason).into()
}

/// Whether a path that is not there looks like `owner/name`.
fn is_on_a_hub(name: &str) -> bool {
    let of_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let parts: Vec<&str> = name.split('/').collect();
    parts.len() == 2
        && parts.iter().all(|part| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.chars().all(of_name)
        })
}

fn without_config(folder: &Path) -> String {
    let deeper = subfolders(folder)
        .into_iter()
        .chain(subfolders(&folder.join("snapshots")))
        .find(|inner| inner.join("config.json").is_file());
    match deeper {
        Some(inner) => format!("it holds no config.json; give {}", inner.display()),
        None => "it holds no config.json; give the folder of a model, with all of its .json files and model.safetensors".into(),
    }
}

fn other_kind(found: &str, wanted: Kind) -> String {
    let known = Kind::ALL
        .into_iter()
        .find(|kind| kind.model_type() == found);
    let it = match known {
        Some(kind) => format!("it is a {} model, which {}", kind.name(), kind.purpose()),
        None => "it is a model of another kind".into(),
    };
    format!(
        "{it}; a {} model, which {}, is needed, such as {}",
        wanted.name(),
        wanted.purpose(),
        wanted.example()
    )
}

/// Files of a folder with one of the endings, in order of their names.
fn files_of(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let ends = |path: &Path| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        path.is_file() && ending.is_some_and(|ending| endings.contains(&ending))
    };
    listed(folder).into_iter().filter(|p| ends(p)).collect()
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    listed(folder).into_iter().filter(|p| p.is_dir()).collect()
}

/// What is in a folder, in order; nothing where it cannot be read, since this only makes messages better.
fn listed(folder: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
