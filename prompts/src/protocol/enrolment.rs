//! Enrolment: a client spends its operator's one-time code for a token of its own making.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ClientId;
use crate::ContentHash;

/// How long a code works unless it is said otherwise, in seconds: a week.
pub const CODE_SECONDS: u32 = 7 * 24 * 3600;
/// The longest that a code works, in seconds: a year.
pub const MAX_CODE_SECONDS: u32 = 365 * 24 * 3600;
/// Largest [`EnrolmentRequest`] in bytes that a server reads: anybody may send one.
pub const MAX_ENROLMENT_BYTES: usize = 1024;

/// A client's one-time code. It is shown only here: the server keeps nothing but its hash.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Invitation {
    /// The identifier that the server assigned.
    pub client_id: ClientId,
    /// The registered name.
    pub name: String,
    /// The code, a secret: `pfe-`, the client's identifier, `-`, 64 hexadecimal digits.
    pub code: String,
    /// From when on it works no longer, in milliseconds since 1970-01-01 UTC.
    pub expires_at: u64,
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            client_id, name, ..
        } = self;
        write!(f, "Invitation(client {client_id}, {name:?})")
    }
}

/// Spends a code for a token that its client has made; sent without any token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EnrolmentRequest {
    /// The code of an [`Invitation`].
    pub code: String,
    /// BLAKE3 of the token: `pfc-`, the client's identifier, `-`, and at least 256 random bits in visible ASCII characters.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub token_hash: ContentHash,
}

/// Whose token works from now on; the client's earlier one does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Enrolment {
    /// The client.
    pub client_id: ClientId,
    /// Its name.
    pub name: String,
}
