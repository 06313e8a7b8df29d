//! PNG chunks (W3C PNG, third edition, section 5 and 11.3.6 for animations).

use std::borrow::Cow;

use image::metadata::Orientation;

use super::Unfit;
use super::bytes::Bytes;
use super::container::Container;
use crate::Adjustment;

/// Chunks that hold compressed data which decoders inflate, up to a thousandfold, and that change no pixel here: colour
/// profiles and texts.
const INFLATED: [&[u8; 4]; 3] = [b"iCCP", b"zTXt", b"iTXt"];

/// Walks the chunks up to IEND. Checksums are left to the decoder.
pub(super) fn check(bytes: &[u8]) -> Result<Container, Unfit> {
    let mut container = Container::default();
    for chunk in Chunks::of(bytes) {
        let chunk = chunk?;
        match &chunk.kind {
            b"acTL"
                if Bytes::at(chunk.data, 0)
                    .u32_be()
                    .is_ok_and(|frames| frames > 1) =>
            {
                container.adjustments.insert(Adjustment::FirstFrame);
            }
            b"eXIf" => container.orientation = Orientation::from_exif_chunk(chunk.data),
            _ => {}
        }
    }
    Ok(container)
}

/// The same picture without the chunks that are [`INFLATED`]; `bytes` must have passed [`check`].
pub(super) fn without_inflated(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Unfit> {
    let mut kept: Option<Vec<u8>> = None;
    for chunk in Chunks::of(bytes) {
        let chunk = chunk?;
        if INFLATED.contains(&&chunk.kind) {
            kept.get_or_insert_with(|| bytes[..chunk.start].to_vec());
        } else if let Some(kept) = &mut kept {
            kept.extend_from_slice(&bytes[chunk.start..chunk.end]);
        }
    }
    Ok(kept.map_or(Cow::Borrowed(bytes), Cow::Owned))
}

/// A chunk with the place of all its bytes, from its length to its checksum.
struct Chunk<'a> {
    kind: [u8; 4],
    data: &'a [u8],
    start: usize,
    end: usize,
}

/// The chunks from the one after the signature up to IEND.
struct Chunks<'a> {
    reader: Bytes<'a>,
    at_end: bool,
}

impl<'a> Chunks<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self {
            reader: Bytes::at(bytes, 8),
            at_end: false,
        }
    }

    fn next_chunk(&mut self) -> Result<Chunk<'a>, Unfit> {
        let start = self.reader.position();
        let length = self.reader.u32_be()? as usize;
        let kind = self.reader.array()?;
        let data = self.reader.take(length)?;
        self.reader.skip(4)?;
        Ok(Chunk {
            kind,
            data,
            start,
            end: self.reader.position(),
        })
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Result<Chunk<'a>, Unfit>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at_end {
            return None;
        }
        let chunk = self.next_chunk();
        self.at_end = chunk.as_ref().map_or(true, |chunk| &chunk.kind == b"IEND");
        Some(chunk)
    }
}
