//! Why jobs end early: what may pass, what does not, and what an operator has to put right first.

use std::io;

use promptfed_files::FileError;
use promptfed_prompts::protocol::FailureKind;
use promptfed_synth::Error as SynthError;

use crate::Error;
use crate::store::{Ended, Work};

impl Error {
    /// Whether the same may go well another time, after what is outside the round has changed.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Io(error) => io_may_pass(error),
            Self::File(error) => file_may_pass(error),
            Self::Database(error) => database_may_pass(error),
            Self::Synthesis(error) => synthesis_may_pass(error),
            Self::Fusing(error) => synthesis_may_pass(error),
            Self::Memory { .. } | Self::RoundKey { .. } => true,
            _ => false,
        }
    }

    /// Whether the database was written to for longer than a request waits.
    pub(crate) fn is_busy(&self) -> bool {
        let Self::Database(error) = self else {
            return false;
        };
        error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
    }

    /// Whether the disk is full.
    pub(crate) fn is_out_of_space(&self) -> bool {
        match self {
            Self::Io(error) | Self::File(FileError::Io(error)) => is_full(error),
            Self::Database(error) => {
                error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
            }
            _ => false,
        }
    }
}

/// How an attempt ended in an error.
pub(super) fn ended(work: Work, error: &Error) -> Ended<'static> {
    if let Error::Synthesis(SynthError::DifferentJob {
        field,
        found,
        wanted,
        ..
    }) = error
        && field.starts_with("engine.")
    {
        return Ended::Paused(format!(
            "its first images were made by an engine with {field} {found}, and the server has {wanted} now; start the server with that engine again \
             and then `{}`, or open a new round",
            work.retry()
        ));
    }
    let kind = if error.may_pass() {
        FailureKind::Transient
    } else {
        FailureKind::Final
    };
    let remedy = match kind {
        FailureKind::Transient => format!("; it can be tried again: `{}`", work.retry()),
        _ => String::new(),
    };
    Ended::Failed(kind, format!("{error}{remedy}"))
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

fn io_may_pass(error: &io::Error) -> bool {
    let outside = matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::OutOfMemory
            | io::ErrorKind::Interrupted
            | io::ErrorKind::TimedOut
            | io::ErrorKind::WouldBlock
            | io::ErrorKind::ResourceBusy
    );
    // What has no name of its own, as a disk that fails or too many open files, is the machine's.
    outside || is_full(error) || error.raw_os_error().is_some()
}

fn file_may_pass(error: &FileError) -> bool {
    match error {
        FileError::Io(error) => io_may_pass(error),
        FileError::NotFound { .. }
        | FileError::NotWritable { .. }
        | FileError::FolderInUse { .. } => true,
        _ => false,
    }
}

fn database_may_pass(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode;
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::OutOfMemory
                | ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
        )
    )
}

fn synthesis_may_pass(error: &SynthError) -> bool {
    match error {
        SynthError::Io(error) => io_may_pass(error),
        SynthError::File(error) => file_may_pass(error),
        SynthError::Index(error) => database_may_pass(error),
        SynthError::Png(error) => std::error::Error::source(error)
            .and_then(|cause| cause.downcast_ref())
            .is_some_and(io_may_pass),
        SynthError::Backend { transient, .. } => *transient,
        // A service that is away, a hub without a network, a model folder that is not there yet, a card that is busy.
        SynthError::Service(_)
        | SynthError::Hub { .. }
        | SynthError::NoAssets { .. }
        | SynthError::NoCard(_)
        | SynthError::NoClip
        | SynthError::NoNetwork => true,
        SynthError::AllSetAside { faults } => {
            faults.iter().all(|(_, fault)| synthesis_may_pass(fault))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use promptfed_prompts::protocol::RoundId;

    use super::*;

    #[test]
    fn what_may_pass_is_told_from_what_does_not() {
        let of_disk = |kind| Error::Synthesis(io::Error::new(kind, "x").into());
        for error in [
            of_disk(io::ErrorKind::StorageFull),
            of_disk(io::ErrorKind::NotFound),
            Error::Io(io::Error::from_raw_os_error(5)),
            Error::Synthesis(SynthError::Backend {
                engine: "e".into(),
                reason: "is busy".into(),
                transient: true,
            }),
            Error::Synthesis(SynthError::AllSetAside {
                faults: vec![("a".into(), SynthError::NoNetwork)],
            }),
        ] {
            assert!(error.may_pass(), "{error}");
        }
        for error in [
            Error::Synthesis(SynthError::Spec("no".into())),
            Error::Panic("p".into()),
            Error::Synthesis(SynthError::AllSetAside {
                faults: vec![
                    ("a".into(), SynthError::NoNetwork),
                    ("b".into(), SynthError::Spec("no".into())),
                ],
            }),
        ] {
            assert!(!error.may_pass(), "{error}");
        }
    }

    #[test]
    fn other_weights_pause_a_round_and_are_told_with_those_it_began_with() {
        let differs = |field: &str| {
            Error::Synthesis(SynthError::DifferentJob {
                file: "job.json".into(),
                field: field.into(),
                found: "\"aa\"".into(),
                wanted: "\"bb\"".into(),
            })
        };
        let Ended::Paused(reason) = ended(
            Work::of_round(RoundId::new(3)),
            &differs("engine.weights_hash"),
        ) else {
            panic!("not paused")
        };
        for part in ["aa", "bb", "weights_hash", "round retry 3"] {
            assert!(reason.contains(part), "{reason}");
        }
        let failed = ended(Work::of_round(RoundId::new(3)), &differs("seed"));
        assert!(matches!(failed, Ended::Failed(FailureKind::Final, _)));
    }
}
