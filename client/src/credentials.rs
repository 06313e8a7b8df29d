//! The file by which a client asks its server: address, fingerprint, token.

use std::fmt;
use std::path::Path;

use promptfed_files::FileError;
use promptfed_prompts::protocol::{ClientId, Enrolment};
use serde::{Deserialize, Serialize};

use crate::enrol::EnrolmentString;
use crate::request_error::RequestError;
use crate::submit::FederationClient;
use crate::trust::{Fingerprint, ServerTrust};

/// Largest credentials file in bytes.
const MAX_BYTES: u64 = 64 << 10;

/// What the file says that it is.
const FORMAT: &str = "promptfed-credentials-1";

/// A client's place in a federation: who it is, and how it asks which server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    format: String,
    /// The version of the program that wrote the file.
    promptfed: String,
    /// The server's address.
    pub server: String,
    /// The SHA-256 of the server's certificate, where it is known by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
    /// The client's identifier on the server.
    pub client_id: ClientId,
    /// The client's name on the server.
    pub name: String,
    /// The bearer token, a secret.
    pub token: String,
}

impl Credentials {
    /// Those of a client that has enrolled with `token`; `fingerprint` is that of the server, where it is known by one.
    pub fn new(
        string: &EnrolmentString,
        fingerprint: Option<Fingerprint>,
        enrolment: Enrolment,
        token: String,
    ) -> Self {
        Self {
            format: FORMAT.to_owned(),
            promptfed: env!("CARGO_PKG_VERSION").to_owned(),
            server: string.server().to_owned(),
            fingerprint,
            client_id: enrolment.client_id,
            name: enrolment.name,
            token,
        }
    }

    /// Reads a file of [`Credentials::write`].
    ///
    /// # Errors
    /// [`RequestError::File`], and [`RequestError::Credentials`] for another file.
    pub fn read(file: &Path) -> Result<Self, RequestError> {
        let text = promptfed_files::read_text(file, MAX_BYTES)?;
        let fault = |reason: String| RequestError::Credentials {
            file: file.to_owned(),
            reason,
        };
        let read: Self = serde_json::from_str(&text).map_err(|error| {
            // serde tells values of the wrong type, which may be a token.
            fault(format!("line {}, column {}", error.line(), error.column()))
        })?;
        match read.format.as_str() {
            FORMAT => Ok(read),
            _ => Err(fault(format!("its format is not {FORMAT}"))),
        }
    }

    /// Writes them into a file that only this user can read.
    ///
    /// # Errors
    /// As [`promptfed_files::write_secret`].
    pub fn write(&self, file: &Path) -> Result<(), FileError> {
        // Texts and numbers have a JSON form.
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        promptfed_files::write_secret(file, format!("{text}\n").as_bytes())
    }

    /// A session with the server. The fingerprint goes before that of `trust`, and a file of authorities in `trust` before both.
    ///
    /// # Errors
    /// As [`FederationClient::with_trust`].
    pub fn connect(&self, trust: &ServerTrust) -> Result<FederationClient, RequestError> {
        let trust = match trust.ca_file {
            Some(_) => trust.clone(),
            None => ServerTrust {
                fingerprint: self.fingerprint.or(trust.fingerprint),
                ..trust.clone()
            },
        };
        FederationClient::with_trust(&self.server, &self.name, &self.token, &trust)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, name, .. } = self;
        write!(f, "Credentials({name:?} of {server})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_again_and_others_are_refused_without_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a/credentials.json");
        let written = Credentials {
            format: FORMAT.into(),
            promptfed: "1".into(),
            server: "https://server:7878".into(),
            fingerprint: Some(Fingerprint::of(b"")),
            client_id: ClientId::new(3),
            name: "hospital-a".into(),
            token: "pfc-3-secret".into(),
        };
        written.write(&file).unwrap();
        assert_eq!(Credentials::read(&file).unwrap(), written);
        assert!(!format!("{written:?}").contains("secret"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let text = std::fs::read_to_string(&file).unwrap();
        for other in [
            "\"pfc-3-secret\"".to_owned(),
            "pfc-3-secret\n".to_owned(),
            text.replace("credentials-1", "credentials-2"),
            text.replace("\"token\"", "\"client_id\""),
        ] {
            std::fs::write(&file, other).unwrap();
            let error = Credentials::read(&file).unwrap_err();
            assert!(
                matches!(error, RequestError::Credentials { .. }),
                "{error:?}"
            );
            let told = format!("{error} {error:?}");
            assert!(!told.contains("secret"), "{told}");
            assert!(told.contains("promptfed enrol"), "{told}");
        }
    }
}
