//! How a client knows its server.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How a client knows its server, beside the address. By default it believes the authorities of the system (or, in their place, those
/// in the file that `SSL_CERT_FILE` names and the folders of `SSL_CERT_DIR`) and those of Mozilla, and speaks plain HTTP to this machine alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerTrust {
    /// Certificates in PEM that are believed in place of the authorities of the system and of Mozilla.
    pub ca_file: Option<PathBuf>,
    /// The server's own certificate. Neither its authority nor its names nor its dates are looked at then.
    pub fingerprint: Option<Fingerprint>,
    /// Plain HTTP to other machines too, over which the token and the prompts can be read on the way.
    pub allow_plain_http: bool,
}

/// SHA-256 of a certificate, as text 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Fingerprint([u8; 32]);

/// A text that is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is a SHA-256 in 64 hexadecimal digits, as `promptfed serve` prints it")]
pub struct NoFingerprint;

impl Fingerprint {
    pub(crate) fn of(certificate: &[u8]) -> Self {
        use sha2::{Digest, Sha256};
        let mut bytes = [0; 32];
        bytes.copy_from_slice(&Sha256::digest(certificate));
        Self(bytes)
    }
}

impl FromStr for Fingerprint {
    type Err = NoFingerprint;

    /// Digits in either case, with or without colons between them and `sha256:` before them.
    fn from_str(text: &str) -> Result<Self, NoFingerprint> {
        let lower = text.trim().to_ascii_lowercase();
        let digits = lower.strip_prefix("sha256:").unwrap_or(&lower);
        let digits: Vec<u32> = digits
            .chars()
            .filter(|c| *c != ':')
            .map(|c| c.to_digit(16).ok_or(NoFingerprint))
            .collect::<Result<_, _>>()?;
        if digits.len() != 64 {
            return Err(NoFingerprint);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = ((pair[0] << 4) | pair[1]) as u8;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = NoFingerprint;

    fn try_from(text: String) -> Result<Self, NoFingerprint> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_as_they_are_printed_anywhere() {
        let of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let fingerprint = Fingerprint::of(b"");
        assert_eq!(fingerprint.to_string(), of_nothing);
        let pairs: Vec<&str> = (0..32).map(|i| &of_nothing[2 * i..2 * i + 2]).collect();
        for text in [
            of_nothing.to_owned(),
            format!(" {of_nothing}\n"),
            pairs.join(":").to_uppercase(),
            format!("SHA256:{of_nothing}"),
        ] {
            assert_eq!(text.parse(), Ok(fingerprint), "{text}");
        }
        for text in ["", "sha256:", &of_nothing[1..], "é", &"g".repeat(64)] {
            assert_eq!(text.parse::<Fingerprint>(), Err(NoFingerprint), "{text}");
        }
    }
}
