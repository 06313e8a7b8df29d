//! What a client keeps of a submission: a file that can be shown again, and held against what the server has.

use promptfed_files::ErrorKind;
use promptfed_prompts::ContentHash;
use promptfed_prompts::protocol::SubmissionReceipt;
use serde::{Deserialize, Serialize};

/// First field of the file.
const FORMAT: &str = "promptfed receipt";
/// Version of the file.
const VERSION: u64 = 1;

/// A receipt with what only the client knows of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptFile {
    format: String,
    version: u64,
    /// Version of the program that submitted.
    pub promptfed: String,
    /// The server's address as it was given.
    pub server: String,
    /// Hash of the prompt set's canonical JSON, as `promptfed extract` tells it.
    pub content: ContentHash,
    /// What the server answered.
    pub receipt: SubmissionReceipt,
}

/// The first fields, whatever the others are.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u64,
}

/// Why a file is no receipt, or not the one that the server would give.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// The file is something else.
    #[error("not a receipt ({reason}); give the file that `promptfed submit` wrote")]
    NotAReceipt {
        /// What is wrong with it.
        reason: String,
    },
    /// The file is of another version.
    #[error(
        "a receipt of version {found}, and this program reads version {VERSION}; use the release of promptfed that wrote it"
    )]
    UnknownVersion {
        /// Version found.
        found: u64,
    },
    /// The server holds something else of this client.
    #[error(
        "the server holds another submission: its {what} is {held}, on the receipt {written}; if the one on the receipt is to count, submit it again while the round is open"
    )]
    Differs {
        /// What differs first.
        what: &'static str,
        /// At the server.
        held: String,
        /// On the receipt.
        written: String,
    },
}

impl ReceiptError {
    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotAReceipt { .. } | Self::UnknownVersion { .. } => ErrorKind::Input,
            Self::Differs { .. } => ErrorKind::Refused,
        }
    }
}

impl ReceiptFile {
    /// The file of a submission to the server at `server`; `content` is the hash of the prompt set.
    pub fn new(server: &str, content: ContentHash, receipt: SubmissionReceipt) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            promptfed: env!("CARGO_PKG_VERSION").to_owned(),
            server: server.to_owned(),
            content,
            receipt,
        }
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// [`ReceiptError::NotAReceipt`] and [`ReceiptError::UnknownVersion`].
    pub fn from_json(text: &str) -> Result<Self, ReceiptError> {
        let other = |reason: String| ReceiptError::NotAReceipt { reason };
        let head: Head = serde_json::from_str(text).map_err(|error| other(error.to_string()))?;
        if head.format != FORMAT {
            return Err(other(format!("its format is not {FORMAT:?}")));
        }
        if head.version != VERSION {
            return Err(ReceiptError::UnknownVersion {
                found: head.version,
            });
        }
        serde_json::from_str(text).map_err(|error| other(error.to_string()))
    }

    /// The file's text.
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("its keys are texts");
        format!("{text}\n")
    }

    /// Holds the receipt that a server gives now against the one that is written here.
    ///
    /// # Errors
    /// [`ReceiptError::Differs`] with the first difference.
    pub fn check(&self, held: &SubmissionReceipt) -> Result<(), ReceiptError> {
        let written = &self.receipt;
        let numbers = |receipt: &SubmissionReceipt| {
            [
                ("round", receipt.round_id.to_string()),
                ("client", receipt.client_id.to_string()),
                ("hash", receipt.hash.to_string()),
                ("size in bytes", receipt.bytes.to_string()),
                ("number of prompts", receipt.prompts.to_string()),
                ("time (ms since 1970)", receipt.received_at.to_string()),
            ]
        };
        for ((what, held), (_, written)) in numbers(held).into_iter().zip(numbers(written)) {
            if held != written {
                return Err(ReceiptError::Differs {
                    what,
                    held,
                    written,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use promptfed_prompts::protocol::{ClientId, RoundId};

    use super::*;

    fn receipt() -> SubmissionReceipt {
        SubmissionReceipt {
            round_id: RoundId::new(3),
            client_id: ClientId::new(2),
            hash: ContentHash::of(b"sent"),
            bytes: 245,
            prompts: 7,
            received_at: 1_700_000_000_000,
        }
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let file = ReceiptFile::new("https://server:7878", ContentHash::of(b"set"), receipt());
        let text = file.to_json();
        assert_eq!(ReceiptFile::from_json(&text).unwrap(), file);
        assert_eq!(file.check(&receipt()), Ok(()));
        let later = text.replace("\"version\": 1", "\"version\": 2");
        assert_eq!(
            ReceiptFile::from_json(&later),
            Err(ReceiptError::UnknownVersion { found: 2 })
        );
        for other in [
            "{}",
            "",
            &text.replace(FORMAT, "promptfed prompts"),
            &text.replace("\"server\"", "\"sever\""),
        ] {
            let error = ReceiptFile::from_json(other).unwrap_err();
            assert!(matches!(error, ReceiptError::NotAReceipt { .. }), "{error}");
        }
    }

    #[test]
    fn every_difference_is_told() {
        let file = ReceiptFile::new("http://a", ContentHash::of(b"set"), receipt());
        let changes: [fn(&mut SubmissionReceipt); 6] = [
            |held| held.round_id = RoundId::new(4),
            |held| held.client_id = ClientId::new(3),
            |held| held.hash = ContentHash::of(b"other"),
            |held| held.bytes += 1,
            |held| held.prompts += 1,
            |held| held.received_at += 1,
        ];
        let mut told = std::collections::BTreeSet::new();
        for change in changes {
            let mut held = receipt();
            change(&mut held);
            match file.check(&held) {
                Err(ReceiptError::Differs { what, .. }) => assert!(told.insert(what)),
                other => panic!("{other:?}"),
            }
        }
    }
}
