//! The folder in which programs that use the hub keep its files: `models--owner--name` with `blobs` by their tags, `snapshots`
//! of commits that link to them, and `refs`, the commits of branches and tags.

use std::path::{Path, PathBuf};

use super::id::ModelId;
use crate::{Error, Result};

/// One model's part of the cache.
pub(super) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// That of a model, where the environment says.
    pub(super) fn of(id: &ModelId) -> Result<Self> {
        let given = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let hub = match (given("HF_HUB_CACHE"), given("HF_HOME")) {
            (Some(folder), _) => PathBuf::from(folder),
            (None, Some(home)) => PathBuf::from(home).join("hub"),
            (None, None) => std::env::home_dir()
                .ok_or_else(|| {
                    Error::Spec(
                        "there is no home folder for downloads; set HF_HOME to a folder".into(),
                    )
                })?
                .join(".cache/huggingface/hub"),
        };
        let name = format!("models--{}", id.name.replace('/', "--"));
        // Absolute, because a snapshot may link to its blobs by their paths.
        let root = std::path::absolute(hub.join(name))?;
        Ok(Self { root })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(etag)
    }

    /// The commit of a branch or tag when it was last asked for.
    pub(super) fn commit_of(&self, revision: &str) -> Option<String> {
        let text = fs_err::read_to_string(self.root.join("refs").join(revision)).ok()?;
        Some(text.trim().to_owned())
    }

    pub(super) fn remember(&self, revision: &str, commit: &str) -> Result<()> {
        let file = self.root.join("refs").join(revision);
        Ok(promptfed_files::write_whole(&file, commit.as_bytes())?)
    }

    /// Shows a blob as a file of a snapshot.
    pub(super) fn show(&self, etag: &str, commit: &str, file: &str) -> std::io::Result<()> {
        let shown = self.snapshot(commit).join(file);
        if let Some(folder) = shown.parent() {
            fs_err::create_dir_all(folder)?;
        }
        if fs_err::symlink_metadata(&shown).is_ok() {
            // A link whose blob has been deleted.
            fs_err::remove_file(&shown)?;
        }
        link(&self.blob(etag), etag, file, &shown)
    }
}

/// A link that stays right when the cache is moved.
#[cfg(unix)]
fn link(_: &Path, etag: &str, file: &str, shown: &Path) -> std::io::Result<()> {
    let up = "../".repeat(2 + file.matches('/').count());
    std::os::unix::fs::symlink(format!("{up}blobs/{etag}"), shown)
}

#[cfg(not(unix))]
fn link(blob: &Path, _: &str, _: &str, shown: &Path) -> std::io::Result<()> {
    fs_err::copy(blob, shown).map(|_| ())
}
