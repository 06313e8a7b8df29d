//! The hub's protocol: what a model holds, what a file is, and its bytes from some place on.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, LOCATION, RANGE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;
use tokio::runtime::Runtime;

use super::id::ModelId;
use crate::service::{innermost, tls};

/// How long the hub may take to answer, and to send the next bytes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Largest description of a model that is read, in bytes.
const LONGEST: usize = 64 << 20;

/// A hub, and who asks it.
pub(super) struct Remote {
    /// Follows redirects to where the bytes lie; the token stays with the hub.
    following: Client,
    /// Does not: the hub itself says what a file is.
    staying: Client,
    runtime: Runtime,
    endpoint: String,
    token: Option<String>,
}

/// What a model holds at a revision.
#[derive(Deserialize)]
pub(super) struct Info {
    /// The commit.
    pub(super) sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Info {
    pub(super) fn files(&self) -> BTreeSet<String> {
        self.siblings.iter().map(|s| s.rfilename.clone()).collect()
    }
}

/// What the hub says of a file.
pub(super) struct FileInfo {
    /// Its SHA-256 where it is large, another hash where it is small.
    pub(super) etag: String,
    pub(super) size: u64,
}

impl Remote {
    /// The hub that the environment names.
    ///
    /// # Errors
    /// A system without what HTTP needs.
    pub(super) fn from_env() -> Result<Self, String> {
        let given = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let endpoint = given("HF_ENDPOINT").unwrap_or("https://huggingface.co".into());
        let tls = tls::config(endpoint.starts_with("https:")).map_err(|e| e.to_string())?;
        let client = |redirects| {
            Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .redirect(redirects)
                .user_agent("promptfed")
                .connect_timeout(PATIENCE)
                .read_timeout(PATIENCE)
                .build()
                .map_err(|e| format!("the HTTP client could not be set up ({e})"))
        };
        Ok(Self {
            following: client(Policy::limited(10))?,
            staying: client(Policy::none())?,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|e| e.to_string())?,
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: given("HF_TOKEN"),
        })
    }

    pub(super) fn info(&self, id: &ModelId) -> Result<Info, String> {
        let revision = id.revision.replace('/', "%2F");
        let url = format!(
            "{}/api/models/{}/revision/{revision}",
            self.endpoint, id.name
        );
        let mut response = self.get(&self.following, &url, None)?;
        let mut body = Vec::new();
        while let Some(part) = self.part(&mut response)? {
            if body.len() + part.len() > LONGEST {
                return Err("the hub's answer is too large; check HF_ENDPOINT".into());
            }
            body.extend_from_slice(&part);
        }
        let info: Info = serde_json::from_slice(&body)
            .map_err(|e| format!("the hub's answer cannot be read ({e}); check HF_ENDPOINT"))?;
        let is_commit = super::is_commit(&info.sha);
        is_commit
            .then_some(info)
            .ok_or_else(|| "the hub gives no commit for it; check HF_ENDPOINT".into())
    }

    pub(super) fn file_info(
        &self,
        id: &ModelId,
        commit: &str,
        file: &str,
    ) -> Result<FileInfo, String> {
        let mut url = self.url(id, commit, file);
        let mut response = self.get(&self.staying, &url, Some("bytes=0-0"))?;
        // Redirects within the hub lead to renamed models, those out of it to the bytes.
        for _ in 0..5 {
            match text(response.headers(), LOCATION.as_str()) {
                Some(to) if response.status().is_redirection() && to.starts_with('/') => {
                    url = format!("{}{to}", self.endpoint);
                    response = self.get(&self.staying, &url, Some("bytes=0-0"))?;
                }
                _ => break,
            }
        }
        let headers = response.headers();
        let etag = text(headers, "x-linked-etag").or_else(|| text(headers, "etag"));
        let etag = etag.unwrap_or_default();
        let etag = etag.trim_start_matches("W/").trim_matches('"');
        // The cache names files by it.
        if etag.is_empty() || !etag.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return Err(format!(
                "the hub gives it the tag {etag:?}; check HF_ENDPOINT"
            ));
        }
        let whole = text(headers, "content-range");
        let size = whole
            .as_deref()
            .and_then(|range| range.rsplit('/').next())
            .and_then(|size| size.parse().ok())
            .or_else(|| text(headers, "x-linked-size")?.parse().ok())
            .or_else(|| text(headers, "content-length")?.parse().ok())
            .ok_or("the hub does not give its size; check HF_ENDPOINT")?;
        let etag = etag.to_owned();
        Ok(FileInfo { etag, size })
    }

    /// Appends what is missing to `part`, and calls `progress` with the bytes that are there.
    pub(super) fn download(
        &self,
        id: &ModelId,
        commit: &str,
        file: &str,
        part: &mut fs_err::File,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), String> {
        let local = |e: std::io::Error| e.to_string();
        let mut there = part.metadata().map_err(local)?.len();
        let range = format!("bytes={there}-");
        let url = self.url(id, commit, file);
        let mut response = self.get(&self.following, &url, Some(&range))?;
        if response.status() != StatusCode::PARTIAL_CONTENT {
            // All of it, whatever was asked for.
            part.set_len(0).map_err(local)?;
            there = 0;
        }
        while let Some(bytes) = self.part(&mut response)? {
            part.write_all(&bytes).map_err(local)?;
            there += bytes.len() as u64;
            progress(there);
        }
        part.flush().map_err(local)
    }

    /// The next bytes of an answer.
    fn part(&self, response: &mut Response) -> Result<Option<Vec<u8>>, String> {
        let part = self.runtime.block_on(async { response.chunk().await });
        let part = part.map_err(|e| format!("the connection broke ({})", innermost(&e)))?;
        Ok(part.map(Into::into))
    }

    fn url(&self, id: &ModelId, commit: &str, file: &str) -> String {
        format!("{}/{}/resolve/{commit}/{file}", self.endpoint, id.name)
    }

    fn get(&self, client: &Client, url: &str, range: Option<&str>) -> Result<Response, String> {
        let mut request = client.get(url);
        if let Some(range) = range {
            request = request.header(RANGE, range);
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        // Timers are set when a request is sent, which needs the runtime.
        let sent = self.runtime.block_on(async { request.send().await });
        let response = sent.map_err(|e| {
            format!(
                "the hub cannot be reached ({}); HF_HUB_OFFLINE=1 uses what the cache has",
                innermost(&e)
            )
        })?;
        match response.status() {
            status if status.is_success() || status.is_redirection() => Ok(response),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Err(
                "the hub does not give it: there is no such model, revision or file, or it needs a token in HF_TOKEN".into(),
            ),
            status => Err(format!("the hub answers {status}; try again later")),
        }
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// Opens the unfinished file of a blob, which no other program may be writing.
pub(super) fn open_part(path: &Path) -> Result<fs_err::File, String> {
    let local = |e: std::io::Error| e.to_string();
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder).map_err(local)?;
    }
    let part = fs_err::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(local)?;
    match part.file().try_lock() {
        Ok(()) => Ok(part),
        Err(std::fs::TryLockError::Error(e)) => Err(e.to_string()),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err("another program is downloading it; wait for that".into())
        }
    }
}
