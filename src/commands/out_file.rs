//! What the file of a result must not take the place of.

use crate::exit::BadInput;
use anyhow::Result;
use promptfed_data::{Dataset, ImageSource};
use promptfed_prompts::{ContentHash, LabelSpace};
use std::path::{Path, PathBuf};

/// Longest file that is compared with a result; no result is longer.
const MAX_BYTES: u64 = 4 << 30;

/// Bytes by which an earlier result is known.
const START: usize = 64 << 10;

/// Refuses a result in the place of what a command reads: of the data at `data`, of anything else in its folder but earlier results,
/// and of `others`, files or folders.
pub(crate) fn refuse_to_replace(
    out: &Path,
    data: &Path,
    dataset: &Dataset,
    others: &[&Path],
) -> Result<()> {
    let Ok(place) = fs_err::canonicalize(out) else {
        return Ok(());
    };
    let is_there = |path: &Path| {
        path.file_name() == place.file_name()
            && fs_err::canonicalize(path).is_ok_and(|path| path == place)
    };
    let holds = |path: &Path| fs_err::canonicalize(path).is_ok_and(|path| place.starts_with(path));
    let refuse = |what: &str| {
        let text = format!("{} is {what}; give the result another name", out.display());
        Err(anyhow::Error::new(BadInput).context(text))
    };
    let mut pictures = dataset.samples.iter().map(|sample| match &sample.source {
        ImageSource::File(file) => file.as_path(),
        ImageSource::Parquet { file, .. } => file,
    });
    let mut tables = dataset.read.iter().map(PathBuf::as_path);
    if is_there(data) || pictures.any(is_there) || tables.any(is_there) {
        return refuse("of the data that is read");
    }
    if data.is_dir() && holds(data) && !is_result(out) {
        return refuse("in the folder of the data that is read, and no earlier result");
    }
    if others.iter().any(|other| holds(other)) {
        return refuse("what is read too");
    }
    Ok(())
}

/// Refuses to put a result in the place of a file of other content, unless `force` says so; `flag` is the one that named it.
pub(crate) fn refuse_other(flag: &str, out: &Path, new: ContentHash, force: bool) -> Result<()> {
    if force || !out.exists() {
        return Ok(());
    }
    let there = promptfed_files::read(out, MAX_BYTES);
    if there.is_ok_and(|bytes| ContentHash::of(&bytes) == new) {
        return Ok(());
    }
    Err(anyhow::Error::new(BadInput).context(format!(
        "{} is there and holds something else; give another name with {flag}, or --force to replace it",
        out.display()
    )))
}

/// Whether a file is a result of this program: prompts, their preview, a classifier or a label space.
fn is_result(file: &Path) -> bool {
    use std::io::Read;
    let Ok(opened) = promptfed_files::open_regular(file) else {
        return false;
    };
    let mut start = Vec::new();
    if opened.take(START as u64).read_to_end(&mut start).is_err() {
        return false;
    }
    let start = String::from_utf8_lossy(&start);
    // In a classifier's file the words stand in a text of its own, with its quotes escaped.
    let dense: String = start
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '\\')
        .collect();
    dense.contains("\"format\":\"promptfed") || LabelSpace::from_toml(&start).is_ok()
}
