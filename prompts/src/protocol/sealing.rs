//! To which key prompts are sealed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{ClientId, RoundId};
use crate::text::excerpt;
use crate::{Error, Result};

/// The public half of a round's key pair (X25519), written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SealingKey([u8; 32]);

impl SealingKey {
    /// The key with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({self})")
    }
}

impl FromStr for SealingKey {
    type Err = Error;

    /// Reads exactly 64 lower-case hexadecimal digits, so that a key has one spelling.
    fn from_str(text: &str) -> Result<Self> {
        let no_key = || Error::NotAKey {
            found: excerpt(text),
        };
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(no_key()),
        };
        if text.len() != 64 {
            return Err(no_key());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

impl From<SealingKey> for String {
    fn from(key: SealingKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for SealingKey {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

/// How the client whose token was used seals its prompts for a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RoundSealing {
    /// The round.
    pub round_id: RoundId,
    /// The client. What it seals opens under its name alone.
    pub client_id: ClientId,
    /// The round's public key: X25519, as 64 lower-case hexadecimal digits. Without it, the round was opened by a server that knew of no
    /// sealing, and takes prompts as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub key: Option<SealingKey>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_spelling() {
        let key = SealingKey::from_bytes(std::array::from_fn(|i| 8 * i as u8 + 7));
        let text = key.to_string();
        assert!(text.starts_with("070f17") && text.len() == 64);
        assert_eq!(text.parse::<SealingKey>().unwrap(), key);
        assert_eq!(serde_json::to_string(&key).unwrap(), format!("\"{text}\""));
        for wrong in [
            "",
            &text[1..],
            &text.to_uppercase(),
            &text.replace('7', "g"),
            &"é".repeat(32),
        ] {
            assert!(wrong.parse::<SealingKey>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_round_of_before_has_no_key() {
        let sealing: RoundSealing =
            serde_json::from_str(r#"{"round_id":1,"client_id":2}"#).unwrap();
        assert_eq!(sealing.key, None);
    }
}
