//! What is wrong with the components of a model, told all at once.

use std::path::Path;

use crate::{Error, Result};

/// Both, or everything that is wrong with either in one error.
///
/// # Errors
/// The only one, or [`Error::Components`] of `folder`.
pub(super) fn both<A, B>(folder: &Path, a: Result<A>, b: Result<B>) -> Result<(A, B)> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (Err(fault), Ok(_)) | (Ok(_), Err(fault)) => Err(fault),
        (Err(a), Err(b)) => Err(Error::Components {
            folder: folder.to_owned(),
            faults: [a, b].into_iter().flat_map(parts).collect(),
        }),
    }
}

/// [`both`] of any number.
///
/// # Errors
/// As [`both`].
pub(super) fn all<T>(
    folder: &Path,
    results: impl IntoIterator<Item = Result<T>>,
) -> Result<Vec<T>> {
    let none = Ok(Vec::new());
    results.into_iter().fold(none, |so_far, next| {
        let (mut values, value) = both(folder, so_far, next)?;
        values.push(value);
        Ok(values)
    })
}

fn parts(fault: Error) -> Vec<Error> {
    match fault {
        Error::Components { faults, .. } => faults,
        other => vec![other],
    }
}
