//! Model folders from a model hub (the Hugging Face Hub or a mirror that speaks its protocol), in the cache that all programs
//! share.
//!
//! | variable | what |
//! |---|---|
//! | `HF_HOME`, `HF_HUB_CACHE` | where the cache lies; `~/.cache/huggingface` without |
//! | `HF_ENDPOINT` | the hub's address |
//! | `HF_TOKEN` | for models that need one |
//! | `HF_HUB_OFFLINE` | 1: nothing is asked for, the cache must have it |

mod cache;
mod files;
mod id;
mod remote;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use promptfed_nn::Precision;
use promptfed_prompts::ContentHash;
use sha2::{Digest, Sha256};

pub use self::id::ModelId;

use self::cache::Cache;
use self::files::wanted;
use self::remote::{Remote, open_part};
use crate::hash::hash_files;
use crate::{Error, Origin, Result};

/// A model folder in the cache.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The folder.
    pub folder: PathBuf,
    /// What it is, down to the hash of every file.
    pub origin: Origin,
}

/// How far a download is.
#[derive(Clone, Debug)]
pub struct FetchProgress {
    /// The file.
    pub file: String,
    /// Bytes of it that are there.
    pub done: u64,
    /// Bytes of it.
    pub total: u64,
}

/// Finds a model in the cache or downloads what is missing there: safetensors alone, and for [`Precision::F16`] the f16
/// variant where there is one. An interrupted download goes on where it stopped. The revision is pinned to a commit before
/// the first file, and sizes and hashes are checked after each.
///
/// # Errors
/// A model, revision or token that the hub does not accept; a model without safetensors; a hub that cannot be reached;
/// offline, a model that the cache does not have; a file that arrived damaged.
pub fn fetch(
    id: &ModelId,
    precision: Precision,
    progress: &mut dyn FnMut(&FetchProgress),
) -> Result<Fetched> {
    let cache = Cache::of(id)?;
    if is_offline() {
        return cached(id, precision, &cache);
    }
    let fault = |reason: String| Error::Hub {
        id: id.to_string(),
        reason,
    };
    let remote = Remote::from_env().map_err(fault)?;
    let info = remote.info(id).map_err(fault)?;
    let files = wanted(&info.files(), precision).map_err(fault)?;
    let folder = cache.snapshot(&info.sha);
    for file in &files {
        if !folder.join(file).is_file() {
            download(&remote, &cache, id, &info.sha, file, progress)
                .map_err(|reason| fault(format!("{file}: {reason}")))?;
        }
    }
    // Offline runs find the commit of a branch or tag by this.
    cache.remember(&id.revision, &info.sha)?;
    fetched(id, &info.sha, folder, &files)
}

fn cached(id: &ModelId, precision: Precision, cache: &Cache) -> Result<Fetched> {
    // The revision may be a commit, which no file refers to.
    let commit = cache.commit_of(&id.revision);
    let commit = commit.unwrap_or_else(|| id.revision.clone());
    let folder = cache.snapshot(&commit);
    let fault = |reason: String| Error::Hub {
        id: id.to_string(),
        reason,
    };
    if !is_commit(&commit) || !folder.is_dir() {
        return Err(fault(format!(
            "HF_HUB_OFFLINE is set and {} does not have it; unset it once to download",
            cache.root().display()
        )));
    }
    let mut there = BTreeSet::new();
    for entry in fs_err::read_dir(&folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !entry.path().is_dir() {
            there.insert(name);
            continue;
        }
        for file in fs_err::read_dir(entry.path())? {
            there.insert(format!("{name}/{}", file?.file_name().to_string_lossy()));
        }
    }
    let files = wanted(&there, precision).map_err(|reason| {
        fault(format!(
            "HF_HUB_OFFLINE is set and the cache has a part of it only ({reason}); unset it once to download"
        ))
    })?;
    fetched(id, &commit, folder, &files)
}

fn fetched(id: &ModelId, commit: &str, folder: PathBuf, files: &[String]) -> Result<Fetched> {
    let hash = |file: &String| -> Result<(String, ContentHash)> {
        let path = folder.join(file);
        Ok((file.clone(), hash_files([&path])?))
    };
    let origin = Origin {
        model: id.name.clone(),
        revision: commit.to_owned(),
        files: files.iter().map(hash).collect::<Result<BTreeMap<_, _>>>()?,
    };
    Ok(Fetched { folder, origin })
}

/// Downloads one file, checks it, and shows it in the snapshot.
fn download(
    remote: &Remote,
    cache: &Cache,
    id: &ModelId,
    commit: &str,
    file: &str,
    progress: &mut dyn FnMut(&FetchProgress),
) -> Result<(), String> {
    let local = |e: std::io::Error| e.to_string();
    let info = remote.file_info(id, commit, file)?;
    let blob = cache.blob(&info.etag);
    if !blob.is_file() {
        let path = blob.with_extension("part");
        let mut part = open_part(&path)?;
        let there = part.metadata().map_err(local)?.len();
        if there > info.size {
            part.set_len(0).map_err(local)?;
        }
        if there != info.size {
            let mut state = FetchProgress {
                file: file.to_owned(),
                done: there,
                total: info.size,
            };
            remote
                .download(id, commit, file, &mut part, &mut |done| {
                    state.done = done;
                    progress(&state);
                })
                .map_err(|reason| {
                    format!("{reason}; run it again, the download goes on where it stopped")
                })?;
        }
        if part.metadata().map_err(local)?.len() < info.size {
            return Err(
                "the connection broke; run it again, the download goes on where it stopped".into(),
            );
        }
        if !check(&path, info.size, &info.etag).map_err(local)? {
            fs_err::remove_file(&path).map_err(local)?;
            return Err("it arrived damaged; run it again".into());
        }
        part.sync_all().map_err(local)?;
        fs_err::rename(&path, &blob).map_err(local)?;
    }
    cache.show(&info.etag, commit, file).map_err(local)
}

/// Whether a file has its size, and its SHA-256 where the tag is one.
fn check(path: &Path, size: u64, etag: &str) -> std::io::Result<bool> {
    let mut file = fs_err::File::open(path)?;
    if file.metadata()?.len() != size {
        return Ok(false);
    }
    if etag.len() != 64 {
        return Ok(true);
    }
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
    }
    let digest = hasher.finalize();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(hex == etag)
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.chars().all(|c| c.is_ascii_hexdigit())
}

fn is_offline() -> bool {
    std::env::var("HF_HUB_OFFLINE")
        .is_ok_and(|value| ["1", "on", "yes", "true"].contains(&value.to_lowercase().as_str()))
}
