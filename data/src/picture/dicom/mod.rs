//! DICOM files (PS3.10): one frame, through its window, as 8-bit RGB.
//!
//! A header is full of names, dates and numbers of patients. Only the elements of [`attributes`] are read, all of them
//! numbers or codes that are compared with known ones; every other value is stepped over unread, and no value of a header
//! nor an error of the parser is ever put into a message.

mod attributes;
mod elements;
mod file_meta;
mod grey;
mod rle;
mod samples;

use std::ops::Range;

use super::{BYTES_PER_PIXEL, Decoded, RGB_BYTES, Unfit, check_dimensions};
use crate::{DecodeLimits, DecodedImage, SkipReason};
use attributes::{Attributes, Photometric};
use file_meta::Encoding;

/// What stands after the preamble of 128 bytes.
const MAGIC: &[u8] = b"DICM";
const MAGIC_AT: usize = 128;

/// Whether these are the first bytes of a DICOM file.
pub(crate) fn is_dicom(bytes: &[u8]) -> bool {
    bytes.get(MAGIC_AT..MAGIC_AT + MAGIC.len()) == Some(MAGIC)
}

/// A DICOM picture whose header was read and found fit.
pub(super) struct Frame<'a> {
    bytes: &'a [u8],
    attributes: Attributes,
    encoding: Encoding,
    /// Where the pixel data lie: one range, or the fragments of a compressed frame.
    data: Vec<Range<usize>>,
    limits: DecodeLimits,
}

/// Reads the header of a DICOM file.
pub(super) fn inspect<'a>(bytes: &'a [u8], limits: &DecodeLimits) -> Result<Frame<'a>, Unfit> {
    let meta = file_meta::read(bytes, MAGIC_AT + MAGIC.len())?;
    let found = elements::read(bytes, meta.end, meta.encoding)?;
    let attributes = Attributes::from_elements(&found.values)?;
    if found.data.is_empty() {
        return Err(Unfit::new(
            SkipReason::UnsupportedFormat,
            "a DICOM file without a picture, such as a report or plan; leave it out",
        ));
    }
    if attributes.frames > 1 {
        return Err(Unfit::new(
            SkipReason::ManyPages,
            "a DICOM file of several frames; save the frame that counts as a file of its own",
        ));
    }
    check_dimensions(attributes.columns.into(), attributes.rows.into(), limits)?;
    Ok(Frame {
        bytes,
        attributes,
        encoding: meta.encoding,
        data: found.data,
        limits: *limits,
    })
}

impl Frame<'_> {
    /// Most bytes that decoding takes besides the encoded picture.
    pub(super) fn decoding_bytes(&self) -> u64 {
        self.attributes.pixels() as u64 * (BYTES_PER_PIXEL + RGB_BYTES)
    }

    /// Decodes to 8-bit RGB.
    pub(super) fn decode(&self) -> Result<Decoded, Unfit> {
        let pixels = match self.encoding {
            Encoding::Jpeg => self.decode_jpeg()?,
            Encoding::Rle => {
                let unpacked = rle::unpack(&self.joined(), &self.attributes)?;
                self.convert(&unpacked, samples::Order::Interleaved)?
            }
            Encoding::ImplicitLittle | Encoding::ExplicitLittle => {
                let data = self.data.first().cloned().unwrap_or_default();
                let data = self.bytes.get(data).unwrap_or_default();
                self.convert(data, self.attributes.order())?
            }
        };
        let image = DecodedImage {
            width: self.attributes.columns.into(),
            height: self.attributes.rows.into(),
            pixels,
        };
        Ok((image, Default::default()))
    }

    fn convert(&self, data: &[u8], order: samples::Order) -> Result<Vec<u8>, Unfit> {
        match self.attributes.photometric {
            Photometric::Monochrome1 | Photometric::Monochrome2 => {
                let stored = samples::grey(data, &self.attributes)?;
                Ok(grey::shown(&stored, &self.attributes))
            }
            Photometric::Rgb | Photometric::YbrFull | Photometric::YbrFull422 => {
                samples::colour(data, &self.attributes, order)
            }
        }
    }

    /// A JPEG says itself how its colours are stored; greys still go through the window.
    fn decode_jpeg(&self) -> Result<Vec<u8>, Unfit> {
        let mut jpeg = self.joined();
        if self.attributes.photometric == Photometric::Rgb {
            mark_as_rgb(&mut jpeg);
        }
        if !jpeg.starts_with(b"\xff\xd8\xff") {
            return Err(damaged());
        }
        let picture = super::inspect(&jpeg, &self.limits)?;
        let (image, _) = picture.decode()?;
        if (image.width, image.height)
            != (self.attributes.columns.into(), self.attributes.rows.into())
        {
            return Err(damaged());
        }
        if self.attributes.photometric.is_grey() {
            let (pixels, _) = image.pixels.as_chunks::<3>();
            let stored: Vec<u16> = pixels.iter().map(|p| p[0].into()).collect();
            return Ok(grey::shown(&stored, &self.attributes));
        }
        Ok(image.pixels)
    }

    /// The fragments of a compressed frame, one after the other.
    fn joined(&self) -> Vec<u8> {
        let fragments = self.data.iter().filter_map(|r| self.bytes.get(r.clone()));
        fragments.flatten().copied().collect()
    }
}

/// Adds the Adobe marker that says that three components are red, green and blue; without one a decoder takes them for
/// brightness and colour differences.
fn mark_as_rgb(jpeg: &mut Vec<u8>) {
    const ADOBE_RGB: &[u8] = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00";
    let has_adobe = jpeg.windows(5).take(4096).any(|w| w == b"Adobe");
    if !has_adobe && jpeg.len() > 2 {
        jpeg.splice(2..2, ADOBE_RGB.iter().copied());
    }
}

/// The one message for a header that contradicts itself, so that nothing of it can be in the message.
fn damaged() -> Unfit {
    Unfit::new(
        SkipReason::Corrupt,
        "the DICOM header is damaged or not whole; export the file again",
    )
}

fn cut_short() -> Unfit {
    Unfit::new(
        SkipReason::Truncated,
        "the DICOM file ends before its picture does; copy or export it again",
    )
}
