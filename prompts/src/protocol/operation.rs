//! What an operator asks and is told about rounds and clients.

use serde::{Deserialize, Serialize};

use super::name::check_name;
use super::problem::InvalidMessage;
use super::{ClientId, RoundId};
use crate::ContentHash;

/// Most clients that are registered at once.
pub const MAX_REGISTRATIONS: usize = 10_000;

/// Asks for a place in the federation for several clients: all of them, or none; sent with the administrator's token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RegistrationsRequest {
    /// The clients' names, 1 to 10,000, each once and as for one client.
    pub names: Vec<String>,
    /// Whether those that are registered already get new tokens; their old ones stop working. This is off by default.
    #[serde(default)]
    pub replace_tokens: bool,
}

impl RegistrationsRequest {
    /// Checks the names.
    ///
    /// # Errors
    /// When there are none or too many, one is no name, or one stands twice.
    pub fn validate(&self) -> Result<(), InvalidMessage> {
        if !(1..=MAX_REGISTRATIONS).contains(&self.names.len()) {
            let rule = format!("1 to {MAX_REGISTRATIONS} names");
            return Err(InvalidMessage::new("names", self.names.len(), rule));
        }
        let mut seen = std::collections::BTreeSet::new();
        for name in &self.names {
            check_name("names", name)?;
            if !seen.insert(name) {
                let rule = "names of which each stands once";
                return Err(InvalidMessage::new("names", format_args!("{name:?}"), rule));
            }
        }
        Ok(())
    }
}

/// A registered client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClientEntry {
    /// Its identifier.
    pub client_id: ClientId,
    /// Its name.
    pub name: String,
    /// When it was registered, in milliseconds since 1970-01-01 UTC.
    pub registered_at: u64,
    /// When its token was revoked; without it, the token works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<u64>,
}

/// What a round has of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RoundMember {
    /// The client.
    pub client_id: ClientId,
    /// Its name.
    pub name: String,
    /// What it has submitted; without it, nothing yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submission: Option<StoredSubmission>,
    /// Whether an administrator has excluded it from the round.
    #[serde(default)]
    pub excluded: bool,
}

/// A stored prompt set, from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StoredSubmission {
    /// When it was stored, in milliseconds since 1970-01-01 UTC.
    pub received_at: u64,
    /// Size of the wire form in bytes.
    pub bytes: u64,
    /// Number of distinct prompts.
    pub prompts: u64,
    /// Number of classes that have prompts; not known of what was stored by earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<u64>,
    /// Hash of its canonical JSON.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub hash: ContentHash,
}

/// Something that happened to a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RoundEvent {
    /// When, in milliseconds since 1970-01-01 UTC.
    pub at: u64,
    /// What, in words.
    pub text: String,
}

/// A round that is no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeletedRound {
    /// The round.
    pub round_id: RoundId,
    /// Prompt sets that went with it.
    pub submissions: u32,
}

/// Whether a server can do its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Readiness {
    /// Whether everything below is well.
    pub ready: bool,
    /// Whether the database can be written to.
    pub store: bool,
    /// Whether the data folder's disk takes files.
    pub disk: bool,
    /// Whether the thread that works on jobs is there.
    pub jobs: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_all_at_once() {
        let ask = |names: &[&str]| RegistrationsRequest {
            names: names.iter().map(ToString::to_string).collect(),
            replace_tokens: false,
        };
        ask(&["a", "b"]).validate().unwrap();
        for wrong in [&[][..], &["a", ""], &["a", "a"], &["a\n"]] {
            let told = ask(wrong).validate().unwrap_err();
            assert_eq!(told.field(), "names");
        }
    }
}
