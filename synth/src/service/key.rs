//! The key that opens a service.

use std::fmt;
use std::path::Path;

use base64::Engine as _;
use reqwest::header::HeaderValue;

use crate::{Error, Result};

/// The longest key file that is read, in bytes.
const LONGEST: u64 = 16 << 10;

/// A secret that is sent to a service and never shown: it has no text form, and is taken out of what a service says.
#[derive(Clone)]
pub struct ApiKey(String);

impl ApiKey {
    /// The key in an environment variable.
    ///
    /// # Errors
    /// A variable that is not set, or holds no key.
    pub fn from_env(variable: &str) -> Result<Self> {
        let text = std::env::var(variable).map_err(|_| {
            Error::Spec(format!(
                "the environment variable {variable}, which is to hold the key, is not set; set it, or name a file with the key"
            ))
        })?;
        Self::new(&text, &format!("the environment variable {variable}"))
    }

    /// The key in a file: its only line.
    ///
    /// # Errors
    /// A file that cannot be read, or holds no key.
    pub fn from_file(file: &Path) -> Result<Self> {
        let text = promptfed_files::read_text(file, LONGEST)?;
        Self::new(&text, &file.display().to_string())
    }

    fn new(text: &str, place: &str) -> Result<Self> {
        let key = text.trim_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
        let fits = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        if fits {
            return Ok(Self(key.to_owned()));
        }
        let fault = if key.is_empty() {
            "is empty"
        } else {
            "is not one word of visible ASCII characters"
        };
        Err(Error::Spec(format!(
            "the key in {place} {fault}; write the key alone"
        )))
    }

    /// `Authorization: Bearer ..`, marked so that no library prints it.
    pub(super) fn bearer(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// `Authorization: Basic ..` of a key that is `USER:PASSWORD`.
    pub(super) fn basic(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Basic {}", self.encoded())).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    fn encoded(&self) -> String {
        base64::engine::general_purpose::STANDARD.encode(&self.0)
    }

    /// A text with the key, and any longer part of it, taken out.
    pub(super) fn scrub(&self, text: &str) -> String {
        // Services repeat a refused key with its middle left out.
        const TOLD: usize = 8;
        let mut scrubbed = text.replace(&self.0, "***").replace(&self.encoded(), "***");
        if self.0.len() > TOLD {
            for part in [&self.0[..TOLD], &self.0[self.0.len() - TOLD..]] {
                scrubbed = scrubbed.replace(part, "***");
            }
        }
        scrubbed
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_a_file_whatever_editor_wrote_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        for text in [
            "sk-1234567890",
            "sk-1234567890\r\n",
            "\u{feff}sk-1234567890\n",
        ] {
            fs_err::write(&file, text).unwrap();
            let key = ApiKey::from_file(&file).unwrap();
            assert_eq!(
                key.bearer().unwrap().to_str().unwrap(),
                "Bearer sk-1234567890"
            );
        }
        for text in ["", "  \n", "two words", "line\nline", "sch\u{fc}ssel"] {
            fs_err::write(&file, text).unwrap();
            let told = ApiKey::from_file(&file).unwrap_err().to_string();
            assert!(told.contains("write the key alone"), "{told}");
        }
    }

    #[test]
    fn a_key_is_never_shown() {
        let key = ApiKey::new("sk-proj-abcdefghijklmnop", "a test").unwrap();
        let shown = format!("{key:?} {:?}", key.bearer());
        assert!(!shown.contains("abcdefgh"), "{shown}");
        let scrubbed = key.scrub("bad key sk-proj-abcdefghijklmnop, sk-proj-...ijklmnop");
        assert_eq!(scrubbed, "bad key ***, ***...***");
    }

    #[test]
    fn a_variable_that_is_not_there_is_named() {
        let told = ApiKey::from_env("PROMPTFED_NO_SUCH_KEY")
            .unwrap_err()
            .to_string();
        assert!(told.contains("PROMPTFED_NO_SUCH_KEY") && told.contains("not set"));
    }
}
