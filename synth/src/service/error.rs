//! What can go wrong with a service.

use std::time::Duration;

use promptfed_files::ErrorKind;

/// Why a service did not answer as it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address}: {fault}{}", tries(*attempts))]
pub struct ServiceError {
    /// Where it was asked.
    pub address: String,
    /// What went wrong, at the last try.
    pub fault: Fault,
    /// How often it was tried; 0 where it was not.
    pub attempts: u32,
}

/// What went wrong. Texts of a service are cut short and hold no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The address cannot be used.
    #[error("{0}")]
    Address(String),
    /// `SSL_CERT_FILE` gives no authorities, and nothing was sent.
    #[error("{0}")]
    CertFile(String),
    /// The client could not be set up.
    #[error("the HTTP client could not be set up: {0}")]
    Setup(String),
    /// No connection came about.
    #[error("no connection ({0}); check the address, and that the service runs")]
    Unreachable(String),
    /// The service could not prove who it is.
    #[error(
        "the service could not prove who it is ({0}); check the address, or name its authority in SSL_CERT_FILE"
    )]
    Identity(String),
    /// The address says https, and what answers there speaks something else.
    #[error("what answers there does not speak TLS ({0}); perhaps the address begins with http://")]
    NotTls(String),
    /// No answer within a limit.
    #[error("no answer in time (within {}, and never longer silent than it may be); give it more time, or ask for less at once", seconds(*limit))]
    TimedOut {
        /// The limit of the whole request; what was reached may be that of silence.
        limit: Duration,
    },
    /// The connection broke before the answer was whole.
    #[error("the connection broke before the answer was whole ({0})")]
    Broken(String),
    /// An answer that says that something is wrong.
    #[error("status {status}{}", said(excerpt))]
    Status {
        /// The HTTP status.
        status: u16,
        /// The beginning of what the service said.
        excerpt: String,
        /// How long it asked to be left alone.
        retry_after: Option<Duration>,
        /// Whether the service said that what was paid for is used up, which no waiting changes.
        is_spent: bool,
    },
    /// A redirection, which is not followed: the key is for one address.
    #[error(
        "it sends elsewhere (status {status}, to {to:?}), which is not followed; give the address it should be asked at"
    )]
    Redirected {
        /// The HTTP status.
        status: u16,
        /// Where to.
        to: String,
    },
    /// An answer larger than the limit.
    #[error("the answer is larger than {limit} bytes and was not read")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// An answer that is not what was asked for, such as a page of HTML.
    #[error(
        "the answer is not what was asked for ({reason}){}; check the address",
        said(excerpt)
    )]
    Unexpected {
        /// What is wrong with it.
        reason: String,
        /// The beginning of the answer.
        excerpt: String,
    },
    /// The request was not sent, because an earlier one showed that the service answers none.
    #[error("not asked, because the service failed at another request of this batch")]
    NotAsked,
    /// The work was cancelled while it waited.
    #[error("cancelled")]
    Cancelled,
}

impl Fault {
    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TimedOut { .. } | Self::Broken(_) | Self::NotAsked => true,
            Self::Status {
                status, is_spent, ..
            } => match *status {
                _ if *is_spent => false,
                408 | 425 | 429 => true,
                501 | 505 => false,
                other => other >= 500,
            },
            _ => false,
        }
    }

    /// Whether other requests may fare better at once: the service refused this one and not the caller.
    pub(super) fn is_of_request(&self) -> bool {
        matches!(
            self,
            Self::Status {
                status: 400 | 409 | 413 | 422 | 451,
                ..
            } | Self::TooLarge { .. }
        )
    }
}

impl ServiceError {
    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        match self.fault {
            Fault::Address(_) | Fault::CertFile(_) => ErrorKind::Input,
            Fault::Cancelled => ErrorKind::Interrupted,
            Fault::Setup(_) => ErrorKind::Failed,
            _ => ErrorKind::Refused,
        }
    }

    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        self.fault.is_transient()
    }

    /// Whether the work was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.fault == Fault::Cancelled
    }
}

fn tries(attempts: u32) -> String {
    match attempts {
        0 | 1 => String::new(),
        n => format!(" (tried {n} times)"),
    }
}

fn said(excerpt: &str) -> String {
    if excerpt.is_empty() {
        return String::new();
    }
    format!(": {excerpt:?}")
}

fn seconds(limit: Duration) -> String {
    format!("{} s", limit.as_secs_f64())
}
