//! PNG chunks (W3C PNG, third edition, section 5 and 11.3.6 for animations).

use super::Unfit;
use super::bytes::Bytes;
use crate::SkipReason;

/// Walks the chunks up to IEND. Checksums are left to the decoder.
pub(super) fn check(bytes: &[u8]) -> Result<(), Unfit> {
    let mut reader = Bytes::at(bytes, 8);
    loop {
        let length = reader.u32_be()? as usize;
        let kind: [u8; 4] = reader.array()?;
        let data = reader.take(length)?;
        reader.skip(4)?;
        match &kind {
            b"IHDR" => {
                let depth = data.get(8).copied().unwrap_or(0);
                if depth > 8 {
                    return Err(Unfit::new(
                        SkipReason::SixteenBit,
                        format!("{depth} bits per channel"),
                    ));
                }
            }
            b"acTL" => {
                let frames = Bytes::at(data, 0).u32_be().unwrap_or(0);
                if frames > 1 {
                    return Err(Unfit::new(SkipReason::Animated, format!("{frames} frames")));
                }
            }
            b"IEND" => return Ok(()),
            _ => {}
        }
    }
}
