//! JPEG markers (ITU-T T.81, annex B).

use super::Unfit;
use super::bytes::{Bytes, truncated};
use super::container::Container;
use crate::{Adjustment, SkipReason};

const END_OF_IMAGE: u8 = 0xd9;
const START_OF_SCAN: u8 = 0xda;
/// The application segment by which Adobe says how colours are stored; its inks are inverted.
const ADOBE: u8 = 0xee;
const CMYK_COMPONENTS: u8 = 4;

/// Walks the markers up to the end of the image. Bit errors inside the compressed data are not found here, and a decoder
/// may not notice them either.
pub(super) fn check(bytes: &[u8]) -> Result<Container, Unfit> {
    let mut reader = Bytes::at(bytes, 2);
    let mut frame = None;
    let mut has_adobe = false;
    let mut has_scan = false;
    loop {
        match next_marker(&mut reader)? {
            0x01 | 0xd0..=0xd8 => {}
            END_OF_IMAGE => {
                let Some(components) = frame.filter(|_| has_scan) else {
                    return Err(Unfit::new(
                        SkipReason::Corrupt,
                        "the JPEG ends without a picture",
                    ));
                };
                let print = components == CMYK_COMPONENTS;
                if print && !has_adobe {
                    return Err(Unfit::new(
                        SkipReason::UnsupportedFormat,
                        "print colours without Adobe's marker, which says how inks are stored; convert it to RGB",
                    ));
                }
                return Ok(Container::with(print.then_some(Adjustment::PrintColours)));
            }
            marker => {
                let segment = segment(&mut reader)?;
                has_adobe |= marker == ADOBE && segment.starts_with(b"Adobe");
                if is_frame(marker) {
                    frame = Some(check_frame(marker, segment)?);
                }
                if marker == START_OF_SCAN {
                    has_scan = true;
                    skip_scan(&mut reader, bytes.len())?;
                }
            }
        }
    }
}

/// The next marker; bytes before it are skipped, as libjpeg does.
fn next_marker(reader: &mut Bytes<'_>) -> Result<u8, Unfit> {
    while reader.u8()? != 0xff {}
    loop {
        let marker = reader.u8()?;
        if marker != 0xff {
            return Ok(marker);
        }
    }
}

fn segment<'a>(reader: &mut Bytes<'a>) -> Result<&'a [u8], Unfit> {
    let length = reader.u16_be()?;
    let length = length.checked_sub(2).ok_or_else(|| {
        Unfit::new(
            SkipReason::Corrupt,
            "a JPEG segment is shorter than its length",
        )
    })?;
    reader.take(usize::from(length))
}

/// Start-of-frame markers; the codes between them are tables.
fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

/// The number of colour components.
fn check_frame(marker: u8, segment: &[u8]) -> Result<u8, Unfit> {
    let mut frame = Bytes::at(segment, 0);
    let short = |_| Unfit::new(SkipReason::Corrupt, "the JPEG frame header is too short");
    let precision = frame.u8().map_err(short)?;
    frame.skip(4).map_err(short)?;
    let components = frame.u8().map_err(short)?;
    if precision > 8 {
        return Err(Unfit::new(
            SkipReason::ChannelDepth,
            format!("a JPEG of {precision} bits per channel; convert it to PNG"),
        ));
    }
    if !matches!(marker, 0xc0..=0xc2) {
        return Err(Unfit::new(
            SkipReason::UnsupportedFormat,
            "lossless, hierarchical or arithmetic JPEG; convert it to PNG",
        ));
    }
    Ok(components)
}

/// Skips entropy-coded data: up to a marker that is neither a stuffed byte, a restart nor a fill byte.
fn skip_scan(reader: &mut Bytes<'_>, length: usize) -> Result<(), Unfit> {
    let end = reader
        .rest()
        .windows(2)
        .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xd0..=0xd7 | 0xff));
    match end {
        Some(end) => reader.skip(end),
        None => Err(truncated(length)),
    }
}
