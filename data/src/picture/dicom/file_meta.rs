//! The file meta group (PS3.10, section 7.1): always explicit little endian, before the data set.

use super::super::bytes::Bytes;
use super::{Unfit, damaged};
use crate::SkipReason;

/// How the data set and its pixels are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    ImplicitLittle,
    ExplicitLittle,
    Rle,
    Jpeg,
}

pub(super) struct FileMeta {
    pub(super) encoding: Encoding,
    /// Where the data set begins.
    pub(super) end: usize,
}

const GROUP: u16 = 0x0002;
const TRANSFER_SYNTAX: u16 = 0x0010;

pub(super) fn read(bytes: &[u8], start: usize) -> Result<FileMeta, Unfit> {
    let mut end = start;
    let mut encoding = None;
    loop {
        let mut reader = Bytes::at(bytes, end);
        let is_meta = reader.rest().starts_with(&GROUP.to_le_bytes());
        if !is_meta {
            break;
        }
        let (element, value) = element(&mut reader).map_err(|_| damaged())?;
        if element == TRANSFER_SYNTAX {
            encoding = Some(encoding_of(value)?);
        }
        end = reader.position();
    }
    Ok(FileMeta {
        encoding: encoding.ok_or_else(damaged)?,
        end,
    })
}

fn element<'a>(reader: &mut Bytes<'a>) -> Result<(u16, &'a [u8]), Unfit> {
    reader.skip(2)?;
    let element = u16::from_le_bytes(reader.array()?);
    let length = match &reader.array()? {
        b"OB" | b"OW" | b"UN" | b"UT" | b"SQ" | b"OF" => {
            reader.skip(2)?;
            reader.u32_le()? as usize
        }
        _ => u16::from_le_bytes(reader.array()?).into(),
    };
    Ok((element, reader.take(length)?))
}

/// Transfer syntaxes (PS3.6, table A-1).
fn encoding_of(uid: &[u8]) -> Result<Encoding, Unfit> {
    let uid = uid.trim_ascii_end();
    let uid = uid.strip_suffix(b"\0").unwrap_or(uid);
    let Some(own) = uid.strip_prefix(b"1.2.840.10008.1.2") else {
        return Err(damaged());
    };
    let compressed = match own {
        b"" => return Ok(Encoding::ImplicitLittle),
        b".1" => return Ok(Encoding::ExplicitLittle),
        b".5" => return Ok(Encoding::Rle),
        b".4.50" | b".4.51" => return Ok(Encoding::Jpeg),
        b".1.99" => "deflated",
        b".2" => "big-endian",
        b".4.57" | b".4.70" => "lossless JPEG",
        b".4.80" | b".4.81" => "JPEG-LS",
        b".4.90" | b".4.91" | b".4.92" | b".4.93" => "JPEG 2000",
        b".4.201" | b".4.202" | b".4.203" => "high-throughput JPEG 2000",
        _ if own.starts_with(b".4.1") => "video",
        _ => "an unknown encoding",
    };
    Err(Unfit::new(
        SkipReason::UnsupportedFormat,
        format!(
            "a DICOM file in {compressed}; convert it with `gdcmconv --raw IN OUT` or export it uncompressed"
        ),
    ))
}
