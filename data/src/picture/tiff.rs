//! TIFF directories (TIFF 6.0, section 2). Channel depth and print colours are left to the decoder.

use super::Unfit;
use super::bytes::Bytes;
use crate::SkipReason;

const NEW_SUBFILE_TYPE: u16 = 254;
/// Bit of NewSubfileType that marks a smaller version of another page.
const REDUCED: u32 = 1;
/// Directories followed before a chain counts as endless.
const MAX_DIRECTORIES: usize = 64;

/// Counts the full pages. Scaled-down versions of a page do not count.
pub(super) fn check(bytes: &[u8]) -> Result<(), Unfit> {
    let little = bytes.starts_with(b"II");
    let mut header = Bytes::at(bytes, 2);
    if u16_in(&mut header, little)? != 42 {
        return Err(Unfit::new(
            SkipReason::UnsupportedFormat,
            "BigTIFF is not supported",
        ));
    }
    let mut next = u32_in(&mut header, little)?;
    let mut pages = 0;
    for _ in 0..MAX_DIRECTORIES {
        if next == 0 {
            break;
        }
        let mut directory = Bytes::at(bytes, next as usize);
        let mut reduced = false;
        for _ in 0..u16_in(&mut directory, little)? {
            let tag = u16_in(&mut directory, little)?;
            directory.skip(6)?;
            let value = u32_in(&mut directory, little)?;
            reduced |= tag == NEW_SUBFILE_TYPE && value & REDUCED != 0;
        }
        if !reduced {
            pages += 1;
        }
        if pages > 1 {
            return Err(Unfit::new(SkipReason::Animated, "more than one page"));
        }
        next = u32_in(&mut directory, little)?;
    }
    Ok(())
}

fn u16_in(bytes: &mut Bytes<'_>, little: bool) -> Result<u16, Unfit> {
    let array = bytes.array()?;
    Ok(if little {
        u16::from_le_bytes(array)
    } else {
        u16::from_be_bytes(array)
    })
}

fn u32_in(bytes: &mut Bytes<'_>, little: bool) -> Result<u32, Unfit> {
    let array = bytes.array()?;
    Ok(if little {
        u32::from_le_bytes(array)
    } else {
        u32::from_be_bytes(array)
    })
}
