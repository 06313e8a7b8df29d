//! Model folders from a model hub (the Hugging Face Hub or a mirror that speaks its protocol), in the cache that all programs
//! share.
//!
//! | variable | what |
//! |---|---|
//! | `HF_HOME`, `HF_HUB_CACHE` | where the cache lies; `~/.cache/huggingface` without |
//! | `HF_ENDPOINT` | the hub's address |
//! | `HF_TOKEN` | for models that need one |
//! | `HF_HUB_OFFLINE` | 1: nothing is asked for, the cache must have it |

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};
use promptfed_nn::Precision;
use promptfed_prompts::ContentHash;
use sha2::{Digest, Sha256};

use super::folder::hash_files;
use crate::{Error, Origin, Result};

/// The components of a folder that are used.
const COMPONENTS: [&str; 7] = [
    "scheduler",
    "text_encoder",
    "text_encoder_2",
    "tokenizer",
    "tokenizer_2",
    "unet",
    "vae",
];

/// A model on the hub and one of its revisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelId {
    /// `owner/name`
    name: String,
    /// Branch, tag or commit.
    revision: String,
}

impl FromStr for ModelId {
    type Err = String;

    /// Reads `owner/name` or `owner/name@revision`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, revision) = text.split_once('@').unwrap_or((text, "main"));
        let fits = |part: &str| {
            !part.is_empty()
                && !part.starts_with(['.', '-'])
                && !part.contains("..")
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        };
        if name.split('/').count() == 2
            && name.split('/').all(fits)
            && revision.split('/').all(fits)
        {
            return Ok(Self {
                name: name.to_owned(),
                revision: revision.to_owned(),
            });
        }
        Err(format!(
            "{text:?} is neither a folder nor a model id; ids are owner/name or owner/name@revision"
        ))
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.revision)
    }
}

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

/// The files of a model that are used, or why it cannot be.
fn wanted(all: &BTreeSet<String>, precision: Precision) -> Result<Vec<String>, String> {
    const INDEX: &str = "model_index.json";
    if !all.contains(INDEX) {
        return Err(format!(
            "it has no {INDEX} and is no folder in diffusers' layout; choose a model that is"
        ));
    }
    let mut files = vec![INDEX.to_owned()];
    for component in COMPONENTS {
        let inside: Vec<&str> = all
            .iter()
            .filter_map(|file| file.strip_prefix(component)?.strip_prefix('/'))
            .filter(|file| !file.contains(['/', '\\']))
            .collect();
        let settings = inside.iter().filter(|file| {
            (file.ends_with(".json") || file.ends_with(".txt")) && !file.contains(".index.")
        });
        let mut chosen: Vec<&str> = settings.copied().collect();
        let has_weights = inside.contains(&"config.json");
        if has_weights {
            chosen.extend(weights(&inside, precision).ok_or_else(|| {
                format!("its {component} has no safetensors weights; choose a model that has")
            })?);
        }
        files.extend(chosen.into_iter().map(|file| format!("{component}/{file}")));
    }
    Ok(files)
}

/// The weights of a component, in one file or several with their index.
fn weights<'a>(inside: &[&'a str], precision: Precision) -> Option<Vec<&'a str>> {
    let is_half = |file: &str| file.contains("fp16");
    let variants = match precision {
        Precision::F16 => [true, false],
        Precision::F32 | Precision::Bf16 => [false, true],
    };
    let of = |half: bool| {
        ["diffusion_pytorch_model", "model"]
            .into_iter()
            .find_map(|stem| {
                let single = [
                    format!("{stem}.safetensors"),
                    format!("{stem}.fp16.safetensors"),
                ];
                let single = &single[usize::from(half)];
                if let Some(file) = inside.iter().find(|file| *file == single) {
                    return Some(vec![*file]);
                }
                let several: Vec<&str> = inside
                    .iter()
                    .copied()
                    .filter(|file| {
                        file.starts_with(stem)
                            && file.contains(".safetensors")
                            && is_half(file) == half
                            && (file.contains("-of-") || file.contains(".index."))
                    })
                    .collect();
                several
                    .iter()
                    .any(|file| file.contains(".index."))
                    .then_some(several)
            })
    };
    variants.into_iter().find_map(of)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_owner_and_name() {
        let id: ModelId = "owner/sd-1.5".parse().unwrap();
        assert_eq!(id.to_string(), "owner/sd-1.5@main");
        let id: ModelId = "owner/name@refs/pr/3".parse().unwrap();
        assert_eq!(id.revision, "refs/pr/3");
        for text in [
            "name",
            "a/b/c",
            "../name",
            "owner/..",
            "owner/na me",
            "owner/name@",
            "owner/name@../x",
            "/etc/passwd",
            "owner/name@a b",
            "",
        ] {
            assert!(text.parse::<ModelId>().is_err(), "{text}");
        }
    }

    fn chosen(files: &[&str], precision: Precision) -> Result<Vec<String>, String> {
        wanted(&files.iter().map(|f| (*f).to_owned()).collect(), precision)
    }

    #[test]
    fn only_what_is_used_is_downloaded() {
        let files = [
            "README.md",
            "model_index.json",
            "v1-5-pruned.ckpt",
            "scheduler/scheduler_config.json",
            "safety_checker/config.json",
            "safety_checker/model.safetensors",
            "text_encoder/config.json",
            "text_encoder/model.fp16.safetensors",
            "text_encoder/model.safetensors",
            "text_encoder/pytorch_model.bin",
            "tokenizer/merges.txt",
            "tokenizer/vocab.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
            "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
            "unet/diffusion_pytorch_model.fp16.safetensors",
            "unet/diffusion_pytorch_model.non_ema.safetensors",
            "unet/diffusion_pytorch_model.safetensors.index.json",
            "unet/../../etc/x.json",
            "vae/config.json",
            "vae/diffusion_pytorch_model.bin",
            "vae/diffusion_pytorch_model.safetensors",
        ];
        let full = chosen(&files, Precision::F32).unwrap();
        assert_eq!(
            full,
            [
                "model_index.json",
                "scheduler/scheduler_config.json",
                "text_encoder/config.json",
                "text_encoder/model.safetensors",
                "tokenizer/merges.txt",
                "tokenizer/vocab.json",
                "unet/config.json",
                "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
                "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
                "unet/diffusion_pytorch_model.safetensors.index.json",
                "vae/config.json",
                "vae/diffusion_pytorch_model.safetensors",
            ]
        );
        let half = chosen(&files, Precision::F16).unwrap();
        assert!(half.contains(&"unet/diffusion_pytorch_model.fp16.safetensors".to_owned()));
        assert!(half.contains(&"text_encoder/model.fp16.safetensors".to_owned()));
        assert!(half.contains(&"vae/diffusion_pytorch_model.safetensors".to_owned()));
        assert_eq!(half.len(), full.len() - 2);
    }

    #[test]
    fn models_that_cannot_be_used_are_told_so_before_the_download() {
        let error = chosen(&["model.ckpt"], Precision::F32).unwrap_err();
        assert!(error.contains("model_index.json"), "{error}");
        let pickled = [
            "model_index.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model.bin",
        ];
        let error = chosen(&pickled, Precision::F32).unwrap_err();
        assert!(error.contains("its unet has no safetensors"), "{error}");
    }
}
