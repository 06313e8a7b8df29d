//! What can go wrong between a client and its server.

use std::path::PathBuf;
use std::time::Duration;

use promptfed_files::ErrorKind;
use promptfed_privacy::SealingError;
use promptfed_prompts::ContentHash;
use promptfed_prompts::protocol::{InvalidMessage, Problem, ProblemCode, RoundId, RoundState};

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
    /// Plain HTTP would carry the token to another machine, and nothing was sent.
    #[error(
        "{url}: plain http would carry the token and the prompts to another machine so that they can be read on the way, and nothing was sent; use https, or --allow-plain-http where the network is trusted"
    )]
    PlainHttp {
        /// The server's address.
        url: String,
    },
    /// A file of authorities cannot be read.
    #[error(transparent)]
    File(#[from] promptfed_files::FileError),
    /// A file of authorities holds none, and nothing was sent.
    #[error("{}: {reason}; --ca-file takes certificates in PEM", .file.display())]
    CaFile {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// `SSL_CERT_FILE` gives no authorities, and nothing was sent.
    #[error(
        "SSL_CERT_FILE names a file of authorities that cannot be used ({reason}), and nothing was sent; correct it, or unset it for those of the system"
    )]
    CertFileVariable {
        /// What is wrong with it.
        reason: String,
    },
    /// TLS cannot be used here.
    #[error("TLS cannot be used: {reason}")]
    TlsSettings {
        /// What its library says.
        reason: String,
    },
    /// TLS did not begin, and nothing was sent: it is not known whom one would talk to.
    #[error("{method} {url}: {reason}; {remedy}")]
    Tls {
        /// The request's method.
        method: &'static str,
        /// The request's address.
        url: String,
        /// Why.
        reason: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The token is none, and nothing was sent.
    #[error(
        "the token {reason}; give the file that `promptfed enrol` or the server wrote, as it is"
    )]
    Token {
        /// What is wrong with it; the token itself is not told.
        reason: &'static str,
    },
    /// A file is not what `promptfed enrol` writes, and nothing was sent.
    #[error("{} is no file of credentials ({reason}); `promptfed enrol` writes one", .file.display())]
    Credentials {
        /// The file.
        file: PathBuf,
        /// What is wrong with it; what stands in it is not told.
        reason: String,
    },
    /// The operating system gives no random numbers.
    #[error(
        "the operating system gives no random numbers ({reason}); without them no token can be made"
    )]
    Randomness {
        /// What it says.
        reason: String,
    },
    /// The prompts could not be sealed to the round's key, and were not sent.
    #[error(transparent)]
    Sealing(#[from] SealingError),
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
    /// A later training of a round's images ended without results.
    #[error("training {training} of round {round} ended without results: {}; the model that clients get is the same as before", reason(.state))]
    TrainingEnded {
        /// The round.
        round: RoundId,
        /// The training.
        training: u32,
        /// Its last state.
        state: RoundState,
    },
    /// The round, or a later training of its images, was not done in the time allowed.
    #[error("round {round}: not done after {} s, but {}; wait longer", waited.as_secs(), .state.name())]
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
    /// What kind of failure it is. A round that failed is work that failed, wherever the server stands.
    pub fn kind(&self) -> ErrorKind {
        match self {
            // Nothing was sent.
            Self::Invalid(_)
            | Self::Token { .. }
            | Self::Address { .. }
            | Self::PlainHttp { .. }
            | Self::CaFile { .. }
            | Self::Credentials { .. }
            | Self::CertFileVariable { .. } => ErrorKind::Input,
            Self::File(error) => error.kind(),
            Self::TlsSettings { .. }
            | Self::Randomness { .. }
            | Self::RoundEnded {
                state: RoundState::Failed { .. },
                ..
            }
            | Self::TrainingEnded {
                state: RoundState::Failed { .. },
                ..
            } => ErrorKind::Failed,
            _ => ErrorKind::Refused,
        }
    }

    /// Whether it may be another time, as when a server is started again.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { problem, .. } => {
                problem.status >= 500 || problem.code == ProblemCode::Busy
            }
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
    if url.starts_with("http:") && (told.contains("http-parse") || told.contains("protocol")) {
        "the server may speak https: write https:// in place of http://"
    } else {
        "check that the server runs and can be reached"
    }
}

fn reason(state: &RoundState) -> String {
    match state {
        RoundState::Failed { reason } => format!("it failed, {reason}"),
        RoundState::Paused { reason } => format!("it is paused, {reason}"),
        other => format!("it is {}", other.name()),
    }
}
