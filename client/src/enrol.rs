//! Enrolment: how a client becomes one, by the string that its operator hands out.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use promptfed_prompts::ContentHash;
use promptfed_prompts::ledger::PayloadKind;
use promptfed_prompts::protocol::{ClientId, Enrolment, EnrolmentRequest, Invitation};
use rand::TryRngCore;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};

use crate::request_error::RequestError;
use crate::session::{Call, RetryPolicy, Session};
use crate::trust::{Fingerprint, ServerTrust};

/// Marks a text as an enrolment string, and its form.
const MARK: &str = "pfe1-";

/// Longest server's address in an enrolment string, in bytes.
const MAX_SERVER_BYTES: usize = 1024;

/// What an operator hands out for one client: the server's address, its certificate's fingerprint where it is known by one, and a code that works
/// once. As text it is one word of letters, digits, `-` and `_`.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrolmentString {
    content: Content,
    client: ClientId,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    server: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fingerprint: Option<Fingerprint>,
    code: String,
}

/// A text that is no enrolment string; the text itself, which may hold a secret, is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no whole enrolment string: it is one word that begins with {MARK}, as `promptfed client add` prints it; copy it again"
)]
pub struct NoEnrolmentString;

impl EnrolmentString {
    /// The string for an invited client, which reaches the server at `server`.
    ///
    /// # Errors
    /// [`NoEnrolmentString`] for an address or a code that is none.
    pub fn new(
        server: &str,
        fingerprint: Option<Fingerprint>,
        invitation: &Invitation,
    ) -> Result<Self, NoEnrolmentString> {
        Self::of(Content {
            server: server.trim_end_matches('/').to_owned(),
            fingerprint,
            code: invitation.code.clone(),
        })
    }

    fn of(content: Content) -> Result<Self, NoEnrolmentString> {
        let code = content.code.strip_prefix("pfe-");
        let client = code.and_then(|rest| rest.split_once('-')?.0.parse().ok());
        let is_address = !content.server.is_empty()
            && content.server.len() <= MAX_SERVER_BYTES
            && content.server.chars().all(|c| c.is_ascii_graphic());
        match client {
            Some(client) if is_address => Ok(Self { content, client }),
            _ => Err(NoEnrolmentString),
        }
    }

    /// The server's address.
    pub fn server(&self) -> &str {
        &self.content.server
    }

    /// The SHA-256 of the server's certificate, where it is known by that.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.content.fingerprint
    }

    /// The client that is invited.
    pub fn client(&self) -> ClientId {
        self.client
    }

    /// Names the string without telling its code: the first 16 hexadecimal digits of the code's BLAKE3.
    pub fn name(&self) -> String {
        let mut name = ContentHash::of(self.content.code.as_bytes()).to_string();
        name.truncate(16);
        name
    }

    /// Spends the code for a token of [`new_token`]. It can be done again with the same token, as after an answer that was lost.
    ///
    /// The string's fingerprint goes before that of `trust`.
    ///
    /// # Errors
    /// [`RequestError::Refused`] with code `unknown_code`, `spent_code` or `expired_code`, and [`RequestError::Tls`] where another server answers.
    pub fn enrol(&self, token: &str, trust: &ServerTrust) -> Result<Enrolment, RequestError> {
        let trust = ServerTrust {
            fingerprint: self.fingerprint().or(trust.fingerprint),
            ..trust.clone()
        };
        let retry = RetryPolicy::default();
        let session = Session::without_token(self.server(), "client", retry, &trust)?;
        enrol(&session, &self.content.code, token)
    }
}

/// Spends a code for a token.
pub(crate) fn enrol(session: &Session, code: &str, token: &str) -> Result<Enrolment, RequestError> {
    let request = EnrolmentRequest {
        code: code.to_owned(),
        token_hash: ContentHash::of(token.as_bytes()),
    };
    let path = "/v1/enrolment".to_owned();
    let body = serde_json::to_vec(&request).map_err(|error| RequestError::Answer {
        method: "POST",
        url: path.clone(),
        reason: error.to_string(),
    })?;
    session.message(&Call {
        method: "POST",
        path,
        body: Some(("application/json", PayloadKind::Control, &body)),
        answer: PayloadKind::Control,
        repeatable: true,
    })
}

/// A new token for a client: `pfc-<client>-<64 hexadecimal digits>`, 256 bits from the operating system.
///
/// # Errors
/// [`RequestError::Randomness`] where the system gives none.
pub fn new_token(client: ClientId) -> Result<String, RequestError> {
    let mut bytes = [0; 32];
    OsRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| RequestError::Randomness {
            reason: error.to_string(),
        })?;
    Ok(format!("pfc-{client}-{}", ContentHash::from_bytes(bytes)))
}

impl fmt::Display for EnrolmentString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_vec(&self.content).map_err(|_| fmt::Error)?;
        write!(f, "{MARK}{}", URL_SAFE_NO_PAD.encode(json))
    }
}

impl fmt::Debug for EnrolmentString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (client, server) = (self.client, self.server());
        write!(f, "EnrolmentString(client {client} of {server})")
    }
}

impl FromStr for EnrolmentString {
    type Err = NoEnrolmentString;

    /// The only word of the text that begins as an enrolment string does; what stands around it, as a greeting, is passed over.
    fn from_str(text: &str) -> Result<Self, NoEnrolmentString> {
        let mut found = text
            .split(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c)))
            .filter_map(|word| word.strip_prefix(MARK));
        let (Some(word), None) = (found.next(), found.next()) else {
            return Err(NoEnrolmentString);
        };
        let json = URL_SAFE_NO_PAD
            .decode(word)
            .map_err(|_| NoEnrolmentString)?;
        let content = serde_json::from_slice(&json).map_err(|_| NoEnrolmentString)?;
        Self::of(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(server: &str, code: &str) -> Result<EnrolmentString, NoEnrolmentString> {
        let invitation = Invitation {
            client_id: ClientId::new(7),
            name: "a".into(),
            code: code.into(),
            expires_at: 0,
        };
        EnrolmentString::new(server, Some(Fingerprint::of(b"")), &invitation)
    }

    #[test]
    fn a_string_is_one_word_that_is_found_and_read_again() {
        let string = string("https://server:7878/", "pfe-7-00ff").unwrap();
        assert_eq!(string.client(), ClientId::new(7));
        assert_eq!(string.server(), "https://server:7878");
        let text = string.to_string();
        assert!(
            text.chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        );
        for around in [
            text.clone(),
            format!("\u{feff}{text}\r\n"),
            format!("3\thospital-a\t{text}\n"),
            format!("Hello, here it is: <{text}>.\nBye"),
        ] {
            assert_eq!(
                around.parse::<EnrolmentString>().as_ref(),
                Ok(&string),
                "{around}"
            );
        }
        let told = format!("{string:?} {}", string.name());
        assert!(!told.contains("00ff") && !told.contains(&text), "{told}");
    }

    #[test]
    fn what_is_no_string_is_refused_without_being_told() {
        let whole = string("https://server:7878", "pfe-7-00ff")
            .unwrap()
            .to_string();
        for text in [
            String::new(),
            "pfe1-".into(),
            "pfc-7-00ff".into(),
            // Cut off, at every length.
            whole[..whole.len() - 1].into(),
            whole[..whole.len() / 2].into(),
            whole[1..].into(),
            format!("{whole} {whole}"),
            format!("pfe1-{}", URL_SAFE_NO_PAD.encode("{}")),
        ] {
            assert_eq!(
                text.parse::<EnrolmentString>(),
                Err(NoEnrolmentString),
                "{text}"
            );
        }
        for (server, code) in [
            ("", "pfe-7-0"),
            ("a b", "pfe-7-0"),
            ("https://x", "pfc-7-0"),
            ("https://x", "pfe-x-0"),
        ] {
            assert_eq!(
                string(server, code),
                Err(NoEnrolmentString),
                "{server} {code}"
            );
        }
    }

    #[test]
    fn tokens_are_the_clients_and_never_twice_the_same() {
        let tokens = [(); 2].map(|()| new_token(ClientId::new(12)).unwrap());
        assert_ne!(tokens[0], tokens[1]);
        for token in tokens {
            let secret = token.strip_prefix("pfc-12-").unwrap();
            assert!(secret.len() == 64 && secret.chars().all(|c| c.is_ascii_hexdigit()));
        }
    }
}
