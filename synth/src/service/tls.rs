//! Whom a service is believed to be: the authorities of this system (or, in their place, those of `SSL_CERT_FILE` and `SSL_CERT_DIR`), and
//! those of Mozilla, which a machine without any of its own needs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use rustls_native_certs::{load_certs_from_paths, load_native_certs};

/// Why there are no TLS settings.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// `SSL_CERT_FILE` gives no authorities.
    #[error("SSL_CERT_FILE names {}, which cannot be used ({reason}); name a file of certificates in PEM, or unset it for the authorities of the system", file.display())]
    CertFile { file: PathBuf, reason: String },
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// The TLS settings of a client; `is_used` where its service speaks TLS, and whose authorities then have to be readable.
pub(crate) fn config(is_used: bool) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    match of_system() {
        Ok(certificates) => {
            roots.add_parsable_certificates(certificates);
        }
        Err(error) if is_used => return Err(error),
        Err(_) => {}
    }
    Ok(
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}

/// The authorities of the system, or of what the environment names in their place.
fn of_system() -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let Some(file) = std::env::var_os("SSL_CERT_FILE") else {
        return Ok(load_native_certs().certs);
    };
    let folders = std::env::var_os("SSL_CERT_DIR").unwrap_or_default();
    of_environment(file.as_ref(), &folders)
}

fn of_environment(file: &Path, folders: &OsStr) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let loaded = load_certs_from_paths(Some(file), None);
    let mut certificates = loaded.certs;
    if certificates.is_empty() {
        return Err(TlsError::CertFile {
            file: file.to_owned(),
            reason: match loaded.errors.first() {
                Some(error) => error.to_string(),
                None => "there is no certificate in it".to_owned(),
            },
        });
    }
    for folder in std::env::split_paths(folders) {
        if !folder.as_os_str().is_empty() {
            certificates.extend(load_certs_from_paths(None, Some(&folder)).certs);
        }
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_authorities_is_told_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        fs_err::write(&empty, "no certificate\n").unwrap();
        for file in [&empty, &folder.path().join("none.pem")] {
            let told = of_environment(file, OsStr::new(""))
                .unwrap_err()
                .to_string();
            for part in ["SSL_CERT_FILE", &file.display().to_string(), "unset it"] {
                assert!(told.contains(part), "{told}");
            }
        }
    }

    #[test]
    fn the_folders_are_read_beside_the_file() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tls/cert.pem");
        let folder = tempfile::tempdir().unwrap();
        fs_err::copy(&file, folder.path().join("copy.pem")).unwrap();
        let alone = of_environment(&file, OsStr::new("")).unwrap();
        let folders = std::env::join_paths([Path::new(""), folder.path()]).unwrap();
        let both = of_environment(&file, &folders).unwrap();
        assert_eq!((alone.len(), both.len()), (1, 2));
    }
}
