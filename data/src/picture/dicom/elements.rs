//! The few elements of a data set that decide pixels, by the lazy reader of the `dicom` crates.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::ops::Range;

use dicom_core::Tag;
use dicom_parser::dataset::LazyDataToken;
use dicom_parser::dataset::lazy_read::LazyDataSetReader;
use dicom_parser::stateful::decode::StatefulDecode;
use dicom_transfer_syntax_registry::entries::{
    EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN,
};

use super::attributes::{FRAME_GROUPS, WANTED};
use super::file_meta::Encoding;
use super::{Unfit, cut_short, damaged};

const PIXEL_DATA: Tag = Tag(0x7fe0, 0x0010);

/// Most bytes of a wanted element; all are a few numbers or a code.
const LONGEST_VALUE: u32 = 256;

/// Sequences and items inside one another before a header counts as damaged.
const DEEPEST: usize = 64;

pub(super) struct Elements {
    pub(super) values: BTreeMap<Tag, Vec<u8>>,
    /// Where the pixel data lie; empty when there are none.
    pub(super) data: Vec<Range<usize>>,
}

/// Reads up to the end of the pixel data.
pub(super) fn read(bytes: &[u8], start: usize, encoding: Encoding) -> Result<Elements, Unfit> {
    let syntax = match encoding {
        Encoding::ImplicitLittle => IMPLICIT_VR_LITTLE_ENDIAN.erased(),
        Encoding::ExplicitLittle | Encoding::Rle | Encoding::Jpeg => {
            EXPLICIT_VR_LITTLE_ENDIAN.erased()
        }
    };
    let mut source = Cursor::new(bytes);
    source.set_position(start as u64);
    let mut reader = LazyDataSetReader::new_with_ts(source, &syntax).map_err(|_| damaged())?;
    let mut found = Elements {
        values: BTreeMap::new(),
        data: Vec::new(),
    };
    // What the current element lies in: tags of sequences, `None` for an item.
    let mut inside: Vec<Option<Tag>> = Vec::new();
    let mut in_pixel_data = false;
    let mut items = 0;
    while let Some(token) = reader.advance() {
        match token.map_err(|_| damaged())? {
            LazyDataToken::ElementHeader(_) => {}
            LazyDataToken::SequenceStart { tag, .. } => inside.push(Some(tag)),
            LazyDataToken::PixelSequenceStart => {
                in_pixel_data = inside.is_empty();
                items = 0;
                inside.push(None);
            }
            LazyDataToken::ItemStart { .. } => {
                inside.push(None);
                items += 1;
            }
            LazyDataToken::ItemEnd => {
                inside.pop().ok_or_else(damaged)?;
            }
            LazyDataToken::SequenceEnd => {
                inside.pop().ok_or_else(damaged)?;
                if in_pixel_data && inside.is_empty() {
                    return Ok(found);
                }
            }
            LazyDataToken::LazyItemValue { len, decoder } => {
                let range = range(decoder.position(), len, bytes)?;
                // The first item is the table of offsets.
                if in_pixel_data && items > 1 {
                    found.data.push(range);
                }
                decoder.skip_bytes(len).map_err(|_| damaged())?;
            }
            LazyDataToken::LazyValue { header, decoder } => {
                let range = range(decoder.position(), header.len.0, bytes)?;
                if header.tag == PIXEL_DATA && inside.is_empty() {
                    found.data.push(range);
                    return Ok(found);
                }
                let is_wanted = WANTED.contains(&header.tag)
                    && header.len.0 <= LONGEST_VALUE
                    && inside
                        .first()
                        .is_none_or(|outer| outer.is_some_and(|tag| FRAME_GROUPS.contains(&tag)));
                if is_wanted {
                    let value = bytes.get(range).unwrap_or_default().to_vec();
                    found.values.entry(header.tag).or_insert(value);
                }
                decoder.skip_bytes(header.len.0).map_err(|_| damaged())?;
            }
            _ => return Err(damaged()),
        }
        if inside.len() > DEEPEST {
            return Err(damaged());
        }
    }
    if in_pixel_data {
        return Err(cut_short());
    }
    Ok(found)
}

/// Where a value of `length` bytes lies, if it does.
fn range(position: u64, length: u32, bytes: &[u8]) -> Result<Range<usize>, Unfit> {
    let start = usize::try_from(position).map_err(|_| damaged())?;
    let end = start
        .checked_add(length as usize)
        .filter(|end| *end <= bytes.len())
        .ok_or_else(cut_short)?;
    Ok(start..end)
}
