//! What can go wrong between a client and its server.

use std::time::Duration;

use promptfed_prompts::ContentHash;
use promptfed_prompts::protocol::{InvalidMessage, Problem, RoundId, RoundState};

/// Why a request to a server had no good end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The server's address is not one.
    #[error("{url:?} is no server address; write it like http://127.0.0.1:8080")]
    Address {
        /// The text given.
        url: String,
    },
    /// The token is none, and nothing was sent.
    #[error("the token {reason}; copy it again as `promptfed register` printed it")]
    Token {
        /// What is wrong with it; the token itself is not told.
        reason: &'static str,
    },
    /// A message is out of range and was not sent.
    #[error(transparent)]
    Invalid(#[from] InvalidMessage),
    /// The server refused; its problem document says why and what to do.
    #[error("{method} {url}: {problem}")]
    Refused {
        /// The request's method.
        method: &'static str,
        /// The request's address.
        url: String,
        /// The server's words.
        problem: Problem,
    },
    /// No answer came, in any attempt.
    #[error(
        "{method} {url}: no answer in {attempts} attempts ({reason}); {}", check(.url, .reason)
    )]
    Unreachable {
        /// The request's method.
        method: &'static str,
        /// The request's address.
        url: String,
        /// Requests made.
        attempts: u32,
        /// What happened the last time.
        reason: String,
    },
    /// The answer points elsewhere. Nothing is sent there, least of all the token.
    #[error(
        "{method} {url}: the server points to {location} ({status}); give that address if you trust it"
    )]
    Redirected {
        /// The request's method.
        method: &'static str,
        /// The request's address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// Where it points to.
        location: String,
    },
    /// A web page came, of a proxy or of a log-in in front of the server.
    #[error(
        "{method} {url}: a web page answered ({status}{title}) and not a promptfed server; a proxy or a log-in page may stand before it"
    )]
    WebPage {
        /// The request's method.
        method: &'static str,
        /// The request's address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// `, titled "..."`, where it has a title.
        title: String,
    },
    /// The server's version does not say what this one reads.
    #[error(
        "{method} {url}: the answer cannot be read ({reason}): this is promptfed {own} and the server {server}; use the same version"
    )]
    Versions {
        /// The request's method.
        method: &'static str,
        /// The request's address.
        url: String,
        /// What is wrong with the answer.
        reason: String,
        /// This program's version.
        own: &'static str,
        /// The server's version.
        server: String,
    },
    /// An answer came that is none of this protocol.
    #[error(
        "{method} {url}: the answer cannot be read ({reason}); client and server must be of matching versions"
    )]
    Answer {
        /// The request's method.
        method: &'static str,
        /// The request's address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The receipt is for other content than was sent.
    #[error(
        "the receipt is for {received} and {sent} was sent; do not rely on it and submit again"
    )]
    Receipt {
        /// Hash of what was sent.
        sent: ContentHash,
        /// Hash on the receipt.
        received: ContentHash,
    },
    /// The model's bytes are not those that the results name.
    #[error("the model has hash {received} and the results name {expected}; download it again")]
    Model {
        /// Hash in the results.
        expected: ContentHash,
        /// Hash of what came.
        received: ContentHash,
    },
    /// The round ended without results.
    #[error("round {round} ended without results: {}; open a new round", reason(.state))]
    RoundEnded {
        /// The round.
        round: RoundId,
        /// Its final state.
        state: RoundState,
    },
    /// The round was not done in the time allowed.
    #[error("round {round} is not done after {} s: it is {}; wait longer", waited.as_secs(), .state.name())]
    StillWorking {
        /// The round.
        round: RoundId,
        /// How long was waited.
        waited: Duration,
        /// Its last state.
        state: RoundState,
    },
}

impl RequestError {
    /// Whether it may be another time, as when a server is started again.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { problem, .. } => problem.status >= 500,
            _ => false,
        }
    }

    /// The server's problem document, when it refused.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused { problem, .. } => Some(problem),
            _ => None,
        }
    }
}

/// What to look at where no answer came.
fn check(url: &str, reason: &str) -> &'static str {
    let told = reason.to_lowercase();
    let is_of_tls = [
        "tls",
        "corrupt message",
        "invalidcontenttype",
        "certificate",
        "handshake",
    ]
    .iter()
    .any(|word| told.contains(word));
    if url.starts_with("https:") && told.contains("certificate") {
        "the server's certificate is not one that this machine trusts"
    } else if url.starts_with("https:") && is_of_tls {
        "the server may speak plain http: write http:// in place of https://"
    } else if url.starts_with("http:") && (told.contains("http-parse") || told.contains("protocol"))
    {
        "the server may speak https: write https:// in place of http://"
    } else {
        "check that the server runs and can be reached"
    }
}

fn reason(state: &RoundState) -> String {
    match state {
        RoundState::Failed { reason } => format!("it failed, {reason}"),
        other => format!("it is {}", other.name()),
    }
}
