//! What kind of failure an error is.

use std::io;

/// What whoever meets an error can do about it. Every error type of the rooms above says its own by `kind()`; programs turn it into an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// What was given is wrong or is not there: a file, data, a setting, an address.
    Input,
    /// A server or service could not be reached, or refused.
    Refused,
    /// The work was asked to stop.
    Interrupted,
    /// The work itself failed.
    Failed,
}

impl ErrorKind {
    /// The kind of what the operating system says: a path that leads to nothing, or to bytes that are no text or end too early,
    /// is wrong input.
    pub fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                Self::Input
            }
            _ => Self::Failed,
        }
    }
}
