//! A server's certificate, read again when its files change.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// Largest certificate or key file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The files of a server's certificate, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, after it those of the authorities between it and the root.
    pub cert: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
}

/// A certificate that is read again when its files change.
pub(crate) struct Certificates {
    files: CertificateFiles,
    /// How often the files are looked at, at most.
    every: Duration,
    state: Mutex<State>,
}

struct State {
    loaded: Loaded,
    /// What the files held when they were read last, usable or not.
    seen: blake3::Hash,
    looked: Instant,
}

struct Loaded {
    config: Arc<ServerConfig>,
    fingerprint: String,
}

impl Certificates {
    /// Reads a certificate and its key.
    pub(crate) fn load(files: CertificateFiles, every: Duration) -> Result<Arc<Self>> {
        let content = Content::read(&files)?;
        let state = State {
            seen: content.hash(),
            loaded: content.load(&files)?,
            looked: Instant::now(),
        };
        Ok(Arc::new(Self {
            files,
            every,
            state: Mutex::new(state),
        }))
    }

    /// SHA-256 of the certificate in use, in hexadecimal digits.
    pub(crate) fn fingerprint(&self) -> String {
        self.state().loaded.fingerprint.clone()
    }

    /// The settings for the next handshake, with the newest certificate that can be used.
    pub(super) async fn current(self: &Arc<Self>) -> Arc<ServerConfig> {
        let is_due = {
            let mut state = self.state();
            let is_due = state.looked.elapsed() >= self.every;
            if is_due {
                state.looked = Instant::now();
            }
            is_due
        };
        if is_due {
            let this = Arc::clone(self);
            // Where this panics, the certificate in use stays.
            let _ = tokio::task::spawn_blocking(move || this.look_again()).await;
        }
        Arc::clone(&self.state().loaded.config)
    }

    /// Takes what the files hold now; what cannot be used, as half of a renewal, changes nothing.
    fn look_again(&self) {
        let content = match Content::read(&self.files) {
            Ok(content) => content,
            Err(error) => {
                tracing::warn!(%error, "the certificate in use stays");
                return;
            }
        };
        let seen = content.hash();
        if self.state().seen == seen {
            return;
        }
        let loaded = content.load(&self.files);
        let mut state = self.state();
        state.seen = seen;
        match loaded {
            Ok(loaded) => {
                tracing::info!(fingerprint = %loaded.fingerprint, "a new certificate is in use");
                state.loaded = loaded;
            }
            Err(error) => tracing::warn!(%error, "the certificate in use stays"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the files hold.
struct Content {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl Content {
    fn read(files: &CertificateFiles) -> Result<Self> {
        Ok(Self {
            cert: promptfed_files::read(&files.cert, MAX_FILE_BYTES)?,
            key: promptfed_files::read(&files.key, MAX_FILE_BYTES)?,
        })
    }

    fn hash(&self) -> blake3::Hash {
        let length = (self.cert.len() as u64).to_le_bytes();
        let mut hasher = blake3::Hasher::new();
        hasher.update(&length).update(&self.cert).update(&self.key);
        hasher.finalize()
    }

    fn load(&self, files: &CertificateFiles) -> Result<Loaded> {
        let fault = |file: &PathBuf, reason: String| Error::Certificate {
            file: file.clone(),
            reason,
        };
        let chain = CertificateDer::pem_slice_iter(&self.cert)
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|error| fault(&files.cert, error.to_string()))?;
        let Some(leaf) = chain.first() else {
            return Err(fault(&files.cert, "there is no certificate in it".into()));
        };
        let fingerprint = fingerprint(leaf);
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|error| fault(&files.key, error.to_string()))?;
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| fault(&files.cert, error.to_string()))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    let reason = format!("it is not the key of {}", files.cert.display());
                    fault(&files.key, reason)
                }
                other => fault(&files.cert, other.to_string()),
            })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Loaded {
            config: Arc::new(config),
            fingerprint,
        })
    }
}

/// SHA-256 of a certificate as it crosses the wire, in hexadecimal digits.
fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let hash = Sha256::digest(certificate.as_ref());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
