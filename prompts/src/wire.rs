//! The envelope: magic, version, compressed canonical JSON.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | [`WIRE_MAGIC`] |
//! | 2 | [`WIRE_VERSION`], little endian |
//! | rest | one zstd frame that announces its content's size |

use zstd::zstd_safe::{find_frame_compressed_size, get_frame_content_size};

use crate::canonical::entry_of_line;
use crate::{Error, Result};

/// First four bytes of a prompt set on the wire.
pub const WIRE_MAGIC: [u8; 4] = *b"PFPS";
/// Version of the wire format and of the canonical JSON in it.
pub const WIRE_VERSION: u16 = 1;
/// Largest canonical JSON, in bytes.
pub const MAX_DECODED_BYTES: usize = 64 << 20;
/// Largest prompt set on the wire, in bytes: what the largest canonical JSON takes if nothing in it compresses.
pub const MAX_WIRE_BYTES: usize = MAX_DECODED_BYTES + (MAX_DECODED_BYTES >> 8) + HEADER_BYTES;

const HEADER_BYTES: usize = 6;
const ZSTD_MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
const COMPRESSION_LEVEL: i32 = 12;

/// Wraps canonical JSON of at most [`MAX_DECODED_BYTES`] bytes.
pub(crate) fn encode(json: &str) -> Vec<u8> {
    let compressed = zstd::bulk::compress(json.as_bytes(), COMPRESSION_LEVEL)
        .expect("a buffer of zstd's own bound takes any input");
    let mut bytes = Vec::with_capacity(HEADER_BYTES + compressed.len());
    bytes.extend_from_slice(&WIRE_MAGIC);
    bytes.extend_from_slice(&WIRE_VERSION.to_le_bytes());
    bytes.extend_from_slice(&compressed);
    bytes
}

/// Unwraps to text, in memory bounded by [`MAX_DECODED_BYTES`] whatever the bytes announce.
pub(crate) fn decode(bytes: &[u8]) -> Result<String> {
    if bytes.len() > MAX_WIRE_BYTES {
        return Err(Error::WireTooLarge {
            bytes: bytes.len(),
            max: MAX_WIRE_BYTES,
        });
    }
    let Some((header, frame)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(Error::NotAPromptSet {
            reason: format!("it has only {} bytes", bytes.len()),
        });
    };
    if header[..4] != WIRE_MAGIC {
        return Err(Error::NotAPromptSet {
            reason: format!("it starts with {:02x?}", &header[..4]),
        });
    }
    let version = u16::from_le_bytes([header[4], header[5]]);
    if version != WIRE_VERSION {
        return Err(Error::UnknownVersion {
            found: version.into(),
            supported: WIRE_VERSION,
        });
    }
    let text = String::from_utf8(decompress(frame)?).map_err(|e| {
        let offset = e.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&e.as_bytes()[..offset]);
        let place = entry_of_line(&before, before.matches('\n').count());
        Error::NotUtf8 { place, offset }
    })?;
    Ok(text)
}

fn decompress(frame: &[u8]) -> Result<Vec<u8>> {
    let damaged = |reason: &str| Error::Compression {
        reason: reason.to_owned(),
    };
    // Skippable frames, which zstd would pass over in silence, have another magic number.
    if !frame.starts_with(&ZSTD_MAGIC) {
        return Err(damaged("it is not a zstd frame"));
    }
    let size = match get_frame_content_size(frame) {
        Ok(Some(size)) => size,
        Ok(None) => return Err(damaged("the frame does not announce its size")),
        Err(_) => return Err(damaged("the frame header is not valid")),
    };
    let capacity = usize::try_from(size)
        .ok()
        .filter(|&size| size <= MAX_DECODED_BYTES)
        .ok_or(Error::DecodedTooLarge {
            bytes: size,
            max: MAX_DECODED_BYTES,
        })?;
    let used = find_frame_compressed_size(frame)
        .map_err(|code| damaged(zstd::zstd_safe::get_error_name(code)))?;
    if used < frame.len() {
        return Err(Error::TrailingBytes {
            bytes: frame.len() - used,
        });
    }
    let content = zstd::bulk::decompress(frame, capacity).map_err(|e| damaged(&e.to_string()))?;
    if content.len() == capacity {
        Ok(content)
    } else {
        Err(damaged("the content is shorter than announced"))
    }
}
