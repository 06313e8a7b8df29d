//! Where a round's images are: the folder of one engine's job, or those of several.

use std::io::{BufRead, BufReader};
use std::path::{Component, Path, PathBuf};

use promptfed_prompts::ClassIndex;
use promptfed_prompts::protocol::{RoundId, RoundSpec, SourcePlan};
use promptfed_synth::job::{MANIFEST_FILE, ManifestRow};
use promptfed_synth::{BACKENDS_FILE, BackendEntry, BackendState, BackendsRecord};

use crate::Result;
use crate::data_folder::DataFolder;

/// What one engine has made.
pub(in crate::dashboard) struct Source {
    /// What the engine is called in the round's plan.
    pub(in crate::dashboard) name: String,
    /// The folder of its job.
    pub(in crate::dashboard) folder: PathBuf,
    /// Whether what it has not made was given up.
    pub(in crate::dashboard) is_set_aside: bool,
}

/// The sources of a round that have made something: those of its own images, and those of classes whose images were made again.
pub(super) fn sources(
    folder: &DataFolder,
    round: RoundId,
    spec: &RoundSpec,
) -> Result<Vec<Source>> {
    let mut all = of_job(folder.synthetic(round), spec)?;
    for (class, draw) in folder.redraws(round)? {
        let class_name = spec.label_space.class_name(ClassIndex::new(class));
        let class_name = class_name.unwrap_or("unknown");
        for source in of_job(folder.redrawn(round, class, draw), spec)? {
            all.push(Source {
                name: format!("{}, {class_name} drawn again {draw}", source.name),
                ..source
            });
        }
    }
    Ok(all)
}

/// What the engines of a job's folder have made, in the order of their names.
pub(in crate::dashboard) fn of_job(made: PathBuf, spec: &RoundSpec) -> Result<Vec<Source>> {
    let has_begun = |source: &Source| source.folder.join(MANIFEST_FILE).is_file();
    let all: Vec<Source> = if made.join(BACKENDS_FILE).is_file() {
        let backends = BackendsRecord::read(&made)?.backends.into_iter();
        let source = |(name, entry): (String, BackendEntry)| Source {
            name,
            folder: made.join(entry.folder),
            is_set_aside: matches!(entry.outcome, BackendState::SetAside { .. }),
        };
        backends.map(source).collect()
    } else {
        let planned = spec.synthesis.sources.first();
        let source = |plan: &SourcePlan| Source {
            name: plan.engine.clone(),
            folder: made.clone(),
            is_set_aside: false,
        };
        planned.map(source).into_iter().collect()
    };
    Ok(all.into_iter().filter(has_begun).collect())
}

impl Source {
    /// The row of an image; nothing where there is none yet, or none of this number. Rows are in order, one a line.
    pub(super) fn row(&self, index: u64) -> Result<Option<ManifestRow>> {
        let file = fs_err::File::open(self.folder.join(MANIFEST_FILE))?;
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        for _ in 0..=index {
            line.clear();
            reader.read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') {
                return Ok(None);
            }
        }
        let row: ManifestRow = serde_json::from_slice(&line)?;
        Ok((row.index == index).then_some(row))
    }

    /// The path of a picture as its row calls it; nothing where that is not one.
    pub(super) fn picture(&self, file: &str) -> Option<PathBuf> {
        is_picture(file).then(|| self.folder.join(file))
    }
}

/// Whether this names a picture of a job: `images/CLASS/INDEX.png`, with nothing that leads elsewhere.
fn is_picture(file: &str) -> bool {
    let path = Path::new(file);
    let mut parts = file.split('/');
    let named = (parts.next(), parts.next(), parts.next(), parts.next());
    let (Some("images"), Some(class), Some(name), None) = named else {
        return false;
    };
    let digits = name.strip_suffix(".png").unwrap_or_default();
    let is_plain = |part: &Component<'_>| matches!(part, Component::Normal(_));
    !class.is_empty()
        && !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
        && path.components().all(|part| is_plain(&part))
        && path.components().count() == 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_those_of_the_job_and_nothing_else() {
        for file in ["images/cat/00000001.png", "images/%2e./123.png"] {
            assert!(is_picture(file), "{file}");
        }
        for file in [
            "",
            "images/cat/",
            "images/cat/.png",
            "images/cat/a.png",
            "images/../00000001.png",
            "images/./00000001.png",
            "images//00000001.png",
            "/images/cat/00000001.png",
            "images/cat/x/00000001.png",
            "images/cat/00000001.png/..",
            "job.json",
            "../../../admin.token",
        ] {
            assert!(!is_picture(file), "{file}");
        }
    }
}
