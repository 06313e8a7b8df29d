//! WebP chunks (RFC 9649, section 2).

use super::Unfit;
use super::bytes::{Bytes, truncated};
use super::container::Container;
use crate::Adjustment;

const ANIMATION_FLAG: u8 = 0x02;

/// Checks the RIFF size and the animation flag of the extended header.
pub(super) fn check(bytes: &[u8]) -> Result<Container, Unfit> {
    let mut reader = Bytes::at(bytes, 4);
    let size = reader.u32_le()? as usize;
    if size > bytes.len() - 8 {
        return Err(truncated(bytes.len()));
    }
    reader.skip(4)?;
    let kind: [u8; 4] = reader.array()?;
    reader.skip(4)?;
    let animated = &kind == b"VP8X" && reader.u8()? & ANIMATION_FLAG != 0;
    Ok(Container::with(animated.then_some(Adjustment::FirstFrame)))
}
