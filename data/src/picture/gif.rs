//! GIF blocks (GIF89a, sections 18 to 27).

use super::Unfit;
use super::bytes::Bytes;
use super::container::Container;
use crate::{Adjustment, SkipReason};

/// Counts frames up to the trailer. A missing trailer is forgiven, as every viewer does, when a frame is complete.
pub(super) fn check(bytes: &[u8]) -> Result<Container, Unfit> {
    let mut reader = Bytes::at(bytes, 6);
    reader.skip(4)?;
    let flags = reader.u8()?;
    reader.skip(2)?;
    skip_colour_table(&mut reader, flags)?;
    let mut frames = 0u64;
    loop {
        if reader.rest().is_empty() && frames > 0 {
            return Ok(found(frames));
        }
        match reader.u8()? {
            0x2c => {
                reader.skip(8)?;
                let flags = reader.u8()?;
                skip_colour_table(&mut reader, flags)?;
                reader.skip(1)?;
                skip_sub_blocks(&mut reader)?;
                frames += 1;
            }
            0x21 => {
                reader.skip(1)?;
                skip_sub_blocks(&mut reader)?;
            }
            0x3b if frames > 0 => return Ok(found(frames)),
            0x3b => return Err(Unfit::new(SkipReason::Corrupt, "the GIF holds no frame")),
            other => {
                return Err(Unfit::new(
                    SkipReason::Corrupt,
                    format!("unknown GIF block {other:#04x}"),
                ));
            }
        }
    }
}

fn found(frames: u64) -> Container {
    Container::with((frames > 1).then_some(Adjustment::FirstFrame))
}

fn skip_colour_table(reader: &mut Bytes<'_>, flags: u8) -> Result<(), Unfit> {
    if flags & 0x80 == 0 {
        return Ok(());
    }
    reader.skip(3 << ((flags & 0x07) + 1))
}

fn skip_sub_blocks(reader: &mut Bytes<'_>) -> Result<(), Unfit> {
    loop {
        match reader.u8()? {
            0 => return Ok(()),
            length => reader.skip(usize::from(length))?,
        }
    }
}
