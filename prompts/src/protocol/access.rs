//! Registration of clients and submission of prompt sets.

use serde::{Deserialize, Serialize};

use super::name::check_name;
use super::problem::InvalidMessage;
use super::{ClientId, RoundId};
use crate::ContentHash;

/// Asks for a place in the federation, which is answered with an [`super::Invitation`]; sent with the administrator's token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RegistrationRequest {
    /// The client's name, unique on the server: 1 to 100 bytes of visible text in Unicode form NFC, without words that mix Latin, Greek and
    /// Cyrillic letters, which look alike.
    pub name: String,
    /// Whether a client that is registered already gets a new code; its token works until that is spent. This is off by default.
    #[serde(default)]
    pub replace_token: bool,
}

impl RegistrationRequest {
    /// Checks the name.
    ///
    /// # Errors
    /// When the name is empty, longer than 100 bytes, or holds what cannot be seen or is not what it seems.
    pub fn validate(&self) -> Result<(), InvalidMessage> {
        check_name("name", &self.name)
    }
}

/// Proof that the server has stored a prompt set durably.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SubmissionReceipt {
    /// The round.
    pub round_id: RoundId,
    /// The client whose token was used.
    pub client_id: ClientId,
    /// Hash of the bytes that were sent, where they are sealed; of a round without a key, of the prompt set's canonical JSON
    /// ([`crate::PromptSet::hash`]).
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub hash: ContentHash,
    /// Size of what was sent in bytes.
    pub bytes: u64,
    /// Number of distinct prompts.
    pub prompts: u64,
    /// When the server stored it, in milliseconds since 1970-01-01 UTC.
    pub received_at: u64,
}

/// What a submission did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SubmissionOutcome {
    /// The client's first prompt set in this round.
    Stored,
    /// Took the place of different content that the client had submitted before.
    Replaced,
    /// The same content was there already; the receipt is the one given then.
    Duplicate,
}

/// The answer to a submission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SubmissionAnswer {
    /// What the submission did.
    pub outcome: SubmissionOutcome,
    /// The receipt; the same content always has the same receipt.
    pub receipt: SubmissionReceipt,
}

/// What a client has taken back of a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Withdrawal {
    /// The round.
    pub round_id: RoundId,
    /// The client whose token was used.
    pub client_id: ClientId,
    /// The receipt of the prompt set that was removed; without it, there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<SubmissionReceipt>,
}
