//! Model folders from a model hub (the Hugging Face Hub or a mirror that speaks its protocol), in the cache that all programs
//! share.
//!
//! | variable | what |
//! |---|---|
//! | `HF_HOME`, `HF_HUB_CACHE` | where the cache lies; `~/.cache/huggingface` without |
//! | `HF_ENDPOINT` | the hub's address |
//! | `HF_TOKEN` | for models that need one |
//! | `HF_HUB_OFFLINE` | 1: nothing is asked for, the cache must have it |

mod files;
mod id;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};
use promptfed_nn::Precision;
use promptfed_prompts::ContentHash;
use sha2::{Digest, Sha256};

pub use self::id::ModelId;

use self::files::wanted;
use super::folder::hash_files;
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
    let cache = cache()?;
    let fault = |reason: String| Error::Hub {
        id: id.to_string(),
        reason,
    };
    if is_offline() {
        return cached(id, precision, &cache);
    }
    let mut api = ApiBuilder::from_cache(cache.clone()).with_progress(false);
    if let Ok(endpoint) = std::env::var("HF_ENDPOINT") {
        api = api.with_endpoint(endpoint.trim_end_matches('/').to_owned());
    }
    if let Ok(token) = std::env::var("HF_TOKEN") {
        api = api.with_token(Some(token));
    }
    let api = api.build().map_err(|e| fault(e.to_string()))?;
    let info = api
        .repo(repo(id, &id.revision))
        .info()
        .map_err(|e| fault(explain(&e)))?;
    if !is_commit(&info.sha) {
        return Err(fault(format!(
            "the hub gives {:?} for its commit; check HF_ENDPOINT",
            info.sha
        )));
    }
    let all: BTreeSet<String> = info.siblings.into_iter().map(|s| s.rfilename).collect();
    let files = wanted(&all, precision).map_err(fault)?;
    let pinned = repo(id, &info.sha);
    let folder = cache.repo(pinned.clone()).pointer_path(&info.sha);
    let remote = api.repo(pinned.clone());
    for file in &files {
        if !folder.join(file).is_file() {
            let blobs = cache.repo(pinned.clone());
            download(&api, &remote, file, &|etag| blobs.blob_path(etag), progress)
                .map_err(fault)?;
        }
    }
    // Offline runs find the commit of a branch or tag by this.
    cache.repo(repo(id, &id.revision)).create_ref(&info.sha)?;
    fetched(id, &info.sha, folder, &files)
}

fn cached(id: &ModelId, precision: Precision, cache: &Cache) -> Result<Fetched> {
    let repo = repo(id, &id.revision);
    let refs = cache.path().join(repo.folder_name()).join("refs");
    // The revision may be a commit, which no file refers to.
    let commit = match fs_err::read_to_string(refs.join(&id.revision)) {
        Ok(commit) => commit.trim().to_owned(),
        Err(_) => id.revision.clone(),
    };
    let folder = cache.repo(repo).pointer_path(&commit);
    let fault = |reason: String| Error::Hub {
        id: id.to_string(),
        reason,
    };
    if !is_commit(&commit) || !folder.is_dir() {
        return Err(fault(format!(
            "HF_HUB_OFFLINE is set and {} does not have it; unset it once to download",
            cache.path().display()
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
        Ok((file.clone(), hash_files([&path].into_iter())?))
    };
    let origin = Origin {
        model: id.name.clone(),
        revision: commit.to_owned(),
        files: files.iter().map(hash).collect::<Result<BTreeMap<_, _>>>()?,
    };
    Ok(Fetched { folder, origin })
}

/// Downloads one file and checks it.
fn download(
    api: &hf_hub::api::sync::Api,
    remote: &ApiRepo,
    file: &str,
    blob_path: &dyn Fn(&str) -> PathBuf,
    progress: &mut dyn FnMut(&FetchProgress),
) -> Result<(), String> {
    let metadata = api
        .metadata(&remote.url(file))
        .map_err(|e| format!("{file}: {}", explain(&e)))?;
    let etag = metadata.etag();
    // The cache names files by it.
    if etag.is_empty() || !etag.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return Err(format!(
            "{file}: the hub gives it the tag {etag:?}; check HF_ENDPOINT"
        ));
    }
    let blob = blob_path(etag);
    let part = blob.with_extension("part");
    let size = metadata.size() as u64;
    if std::fs::metadata(&part).is_ok_and(|m| m.len() >= size) {
        // Complete or too long: there is no rest to ask for.
        fs_err::remove_file(&part).map_err(|e| e.to_string())?;
    }
    let meter = Meter {
        progress,
        state: FetchProgress {
            file: file.to_owned(),
            done: 0,
            total: size,
        },
    };
    let path = remote.download_with_progress(file, meter).map_err(|e| {
        format!(
            "{file}: {}; run it again, the download goes on where it stopped",
            explain(&e)
        )
    })?;
    let arrived = check(&path, size, etag).map_err(|e| e.to_string())?;
    if !arrived {
        for path in [&path, &blob] {
            fs_err::remove_file(path).map_err(|e| e.to_string())?;
        }
        return Err(format!("{file} arrived damaged; run it again"));
    }
    Ok(())
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

fn repo(id: &ModelId, revision: &str) -> Repo {
    Repo::with_revision(id.name.clone(), RepoType::Model, revision.to_owned())
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.chars().all(|c| c.is_ascii_hexdigit())
}

fn is_offline() -> bool {
    std::env::var("HF_HUB_OFFLINE")
        .is_ok_and(|value| ["1", "on", "yes", "true"].contains(&value.to_lowercase().as_str()))
}

fn cache() -> Result<Cache> {
    let given = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(folder) = given("HF_HUB_CACHE") {
        return Ok(Cache::new(folder.into()));
    }
    if given("HF_HOME").is_none() && std::env::home_dir().is_none() {
        return Err(Error::Spec(
            "there is no home folder for downloads; set HF_HOME to a folder".into(),
        ));
    }
    Ok(Cache::from_env())
}

/// What went wrong, and what to do.
fn explain(error: &ApiError) -> String {
    let text = error.to_string();
    let status = |code: &str| text.contains(&format!("http status: {code}"));
    if status("401") || status("403") || status("404") {
        return "the hub does not give it: there is no such model, revision or file, or it needs a token in HF_TOKEN".into();
    }
    match error {
        ApiError::RequestError(_) => {
            format!("the hub cannot be reached ({text}); HF_HUB_OFFLINE=1 uses what the cache has")
        }
        ApiError::LockAcquisition(_) => "another program is downloading it; wait for that".into(),
        _ => text,
    }
}

/// Passes hf-hub's progress on.
struct Meter<'a> {
    progress: &'a mut dyn FnMut(&FetchProgress),
    state: FetchProgress,
}

impl hf_hub::api::Progress for Meter<'_> {
    fn init(&mut self, size: usize, _: &str) {
        self.state.total = size as u64;
        self.state.done = 0;
    }

    fn update(&mut self, size: usize) {
        self.state.done += size as u64;
        (self.progress)(&self.state);
    }

    fn finish(&mut self) {}
}
