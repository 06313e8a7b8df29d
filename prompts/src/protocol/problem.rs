//! Errors as they cross the wire.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a request was refused (RFC 9457 in spirit: one document for every error).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// What kind of problem.
    pub code: ProblemCode,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.message, self.status, self.remedy)
    }
}

/// Kinds of problems; a program decides by these, not by messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProblemCode {
    /// 401: no bearer token, or one that the server does not know.
    Unauthenticated,
    /// 403: the token is known but may not do this.
    Forbidden,
    /// 403: the enrolment code is not known here.
    UnknownCode,
    /// 410: the enrolment code was spent.
    SpentCode,
    /// 410: the enrolment code has expired.
    ExpiredCode,
    /// 404: no such path, round, or document.
    NotFound,
    /// 405: the path exists, the method does not.
    MethodNotAllowed,
    /// 408: the request was not finished in time.
    Timeout,
    /// 409: the round is in a state that does not allow this.
    WrongState,
    /// 409: clients of these names are registered already.
    NameTaken,
    /// 413: the body is larger than the limit.
    TooLarge,
    /// 415: the body has the wrong content type.
    UnsupportedMediaType,
    /// 400: the message or the path cannot be read.
    Malformed,
    /// 422: the message can be read but a value is not acceptable.
    Invalid,
    /// 422: the prompt set belongs to a different label space.
    WrongLabelSpace,
    /// 422: the prompt set cannot be pooled with the sets already submitted.
    Incompatible,
    /// 422: the sealed prompt set does not open: it was changed, or sealed to another round's key or under another client's name.
    NotOpened,
    /// 429 or 503: too many requests at once, of this client or of all; try again.
    Busy,
    /// 503: the server cannot do its work.
    NotReady,
    /// 507: the server's disk is full.
    StorageFull,
    /// 500: the server failed; its log says why.
    Internal,
    /// A code that this version does not know.
    #[serde(other)]
    Unknown,
}

/// A field of a message that is out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}; give {rule}")]
pub struct InvalidMessage {
    field: &'static str,
    value: String,
    rule: String,
}

impl InvalidMessage {
    pub(super) fn new(
        field: &'static str,
        value: impl fmt::Display,
        rule: impl Into<String>,
    ) -> Self {
        Self {
            field,
            value: value.to_string(),
            rule: rule.into(),
        }
    }

    /// The field's path in the message, for example `training.epochs`.
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// What the field must be, for example `an integer from 1 to 1000`.
    pub fn rule(&self) -> &str {
        &self.rule
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_code_can_be_read() {
        let json = r#"{"status":418,"code":"teapot","message":"m","remedy":"r"}"#;
        let problem: Problem = serde_json::from_str(json).unwrap();
        assert_eq!(problem.code, ProblemCode::Unknown);
    }
}
