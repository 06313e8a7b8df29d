//! The payloads of the methods, one file each.

mod counts;
mod logits;
mod mixtures;
mod model;
mod prototypes;
mod representations;
mod weights;

pub use counts::Counts;
pub use logits::Logits;
pub use mixtures::Mixtures;
pub use model::{Model, Saved};
pub use prototypes::Prototypes;
pub use representations::Representations;
pub use weights::ControlVariates;

use super::Part;
use crate::{Error, Result};

/// The one part of a payload that has one.
fn only<'p>(parts: &'p [Part], what: &'static str) -> Result<&'p [u8]> {
    match parts {
        [part] => Ok(&part.bytes),
        _ => Err(Error::Payload {
            what,
            reason: format!("{} parts where 1 is expected", parts.len()),
        }),
    }
}

/// Little-endian numbers of four bytes each.
fn words<'p>(bytes: &'p [u8], what: &'static str) -> Result<impl Iterator<Item = [u8; 4]> + 'p> {
    let (words, rest) = bytes.as_chunks::<4>();
    if rest.is_empty() {
        return Ok(words.iter().copied());
    }
    Err(Error::Payload {
        what,
        reason: format!("{} bytes are no whole numbers", bytes.len()),
    })
}
