//! What crosses between the simulated clients and their server: encoded, counted, and decoded again, so that what arrives is what was
//! counted.

mod channel;
pub mod payload;

pub use channel::Channel;

use crate::Result;
use promptfed_prompts::ledger::PayloadKind;

/// A part of a payload as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is counted as.
    pub kind: PayloadKind,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Something that can cross.
pub trait Payload: Sized {
    /// How many parts it has.
    const PARTS: usize;

    /// The parts, [`Payload::PARTS`] of them and always of the same kinds.
    ///
    /// # Errors
    /// What has no form to travel in.
    fn encode(&self) -> Result<Vec<Part>>;

    /// What arrives.
    ///
    /// # Errors
    /// Parts that are not those of such a payload.
    fn decode(parts: &[Part]) -> Result<Self>;
}

/// Two payloads together.
impl<A: Payload, B: Payload> Payload for (A, B) {
    const PARTS: usize = A::PARTS + B::PARTS;

    fn encode(&self) -> Result<Vec<Part>> {
        let mut parts = self.0.encode()?;
        parts.extend(self.1.encode()?);
        Ok(parts)
    }

    fn decode(parts: &[Part]) -> Result<Self> {
        let (first, rest) = parts.split_at(parts.len().min(A::PARTS));
        Ok((A::decode(first)?, B::decode(rest)?))
    }
}
