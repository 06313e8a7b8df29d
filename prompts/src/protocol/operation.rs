//! What an operator asks and is told about rounds and clients.

use serde::{Deserialize, Serialize};

use super::name::check_name;
use super::problem::InvalidMessage;
use super::{CODE_SECONDS, ClientId, MAX_CODE_SECONDS, RoundId};
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
    /// Whether those that are registered already get new codes; their tokens work until these are spent. This is off by default.
    #[serde(default)]
    pub replace_tokens: bool,
    /// How long the codes work, in seconds: 1 to 31,536,000, a week unless it is said.
    #[serde(default = "code_seconds")]
    pub code_seconds: u32,
}

fn code_seconds() -> u32 {
    CODE_SECONDS
}

impl RegistrationsRequest {
    /// New clients of these names, whose codes work for a week.
    pub fn of(names: Vec<String>) -> Self {
        Self {
            names,
            replace_tokens: false,
            code_seconds: CODE_SECONDS,
        }
    }

    /// Checks the names, and how long the codes are to work.
    ///
    /// # Errors
    /// When there are none or too many, one is no name, one stands twice, or the time is out of range.
    pub fn validate(&self) -> Result<(), InvalidMessage> {
        self.validate_but(|_| false)
    }

    /// As [`Self::validate`], but for names that are known already: of earlier versions there are some that would not be taken now.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn validate_but(&self, is_known: impl Fn(&str) -> bool) -> Result<(), InvalidMessage> {
        if !(1..=MAX_CODE_SECONDS).contains(&self.code_seconds) {
            let rule = format!("1 to {MAX_CODE_SECONDS} seconds");
            return Err(InvalidMessage::new("code_seconds", self.code_seconds, rule));
        }
        if !(1..=MAX_REGISTRATIONS).contains(&self.names.len()) {
            let rule = format!("1 to {MAX_REGISTRATIONS} names");
            return Err(InvalidMessage::new("names", self.names.len(), rule));
        }
        let mut seen = std::collections::BTreeSet::new();
        for name in &self.names {
            if !is_known(name) {
                check_name("names", name)?;
            }
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
    /// When it enrolled last; without it, never yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolled_at: Option<u64>,
    /// Until when the code works that it was given and has not spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_expires_at: Option<u64>,
    /// When its token was revoked; without it, the token works that it enrolled with.
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
    /// Size of what was sent in bytes.
    pub bytes: u64,
    /// Number of distinct prompts.
    pub prompts: u64,
    /// Number of classes that have prompts; not known of what was stored by earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<u64>,
    /// The hash on its receipt.
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
        let ask = |names: &[&str]| {
            RegistrationsRequest::of(names.iter().map(ToString::to_string).collect())
        };
        ask(&["a", "b"]).validate().unwrap();
        for wrong in [&[][..], &["a", ""], &["a", "a"], &["a\n"]] {
            let told = ask(wrong).validate().unwrap_err();
            assert_eq!(told.field(), "names");
        }
        // What is known is no new name, and still stands once.
        ask(&["a", "b\n"])
            .validate_but(|name| name == "b\n")
            .unwrap();
        ask(&["b\n", "b\n"]).validate_but(|_| true).unwrap_err();
        for seconds in [0, MAX_CODE_SECONDS + 1] {
            let mut request = ask(&["a"]);
            request.code_seconds = seconds;
            assert_eq!(request.validate().unwrap_err().field(), "code_seconds");
        }
    }
}
