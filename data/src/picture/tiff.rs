//! TIFF directories (TIFF 6.0, section 2).

use super::Unfit;
use super::bytes::Bytes;
use super::container::Container;
use super::rgb::floating_point;
use crate::SkipReason;

/// Version in the header; BigTIFF has 43.
const CLASSIC: u16 = 42;
const NEW_SUBFILE_TYPE: u16 = 254;
const SUB_DIRECTORIES: u16 = 330;
const EXTRA_SAMPLES: u16 = 338;
const SAMPLE_FORMAT: u16 = 339;
const DNG_VERSION: u16 = 50706;
/// Bit of NewSubfileType that marks a smaller version of another page.
const REDUCED: u32 = 1;
/// Value of ExtraSamples for an alpha that the colours were multiplied by.
const ASSOCIATED_ALPHA: u16 = 1;
const FLOATING_POINT: u16 = 3;
/// Directories followed before a chain counts as endless.
const MAX_DIRECTORIES: usize = 64;

/// Counts the full pages. Scaled-down versions of a page do not count.
pub(super) fn check(bytes: &[u8]) -> Result<Container, Unfit> {
    let fields = Fields {
        bytes,
        little: bytes.starts_with(b"II"),
    };
    let mut header = Bytes::at(bytes, 2);
    if fields.u16(&mut header)? != CLASSIC {
        return Err(Unfit::new(
            SkipReason::UnsupportedFormat,
            "BigTIFF is not read; convert it to PNG",
        ));
    }
    let mut next = fields.u32(&mut header)?;
    if header.rest().starts_with(b"CR") {
        return Err(camera_raw());
    }
    let mut pages = 0;
    let mut container = Container::default();
    for index in 0..MAX_DIRECTORIES {
        if next == 0 {
            break;
        }
        let directory = fields.directory(next as usize)?;
        if !directory.reduced {
            pages += 1;
        }
        if pages > 1 {
            return Err(Unfit::new(
                SkipReason::ManyPages,
                "a TIFF of more than one page; save the page that counts as a picture of its own",
            ));
        }
        if index == 0 {
            if directory.raw || (directory.reduced && directory.has_sub_directories) {
                return Err(camera_raw());
            }
            if directory.floating_point {
                return Err(floating_point());
            }
            container.premultiplied = directory.premultiplied;
        }
        next = directory.next;
    }
    Ok(container)
}

fn camera_raw() -> Unfit {
    Unfit::new(
        SkipReason::UnsupportedFormat,
        "camera raw is not read; develop it to JPEG or PNG",
    )
}

#[derive(Default)]
struct Directory {
    reduced: bool,
    raw: bool,
    has_sub_directories: bool,
    floating_point: bool,
    premultiplied: bool,
    next: u32,
}

struct Fields<'a> {
    bytes: &'a [u8],
    little: bool,
}

impl Fields<'_> {
    fn directory(&self, at: usize) -> Result<Directory, Unfit> {
        let mut reader = Bytes::at(self.bytes, at);
        let mut directory = Directory::default();
        for _ in 0..self.u16(&mut reader)? {
            let tag = self.u16(&mut reader)?;
            reader.skip(2)?;
            let count = self.u32(&mut reader)?;
            let inline = reader.position();
            let value = self.u32(&mut reader)?;
            match tag {
                NEW_SUBFILE_TYPE => directory.reduced = value & REDUCED != 0,
                SUB_DIRECTORIES => directory.has_sub_directories = true,
                DNG_VERSION => directory.raw = true,
                EXTRA_SAMPLES => {
                    directory.premultiplied =
                        self.first_short(count, inline, value)? == ASSOCIATED_ALPHA;
                }
                SAMPLE_FORMAT => {
                    directory.floating_point =
                        self.first_short(count, inline, value)? == FLOATING_POINT;
                }
                _ => {}
            }
        }
        directory.next = self.u32(&mut reader)?;
        Ok(directory)
    }

    /// The first of `count` 16-bit values, which lie in the field itself when at most two.
    fn first_short(&self, count: u32, inline: usize, offset: u32) -> Result<u16, Unfit> {
        let at = if count <= 2 { inline } else { offset as usize };
        self.u16(&mut Bytes::at(self.bytes, at))
    }

    fn u16(&self, reader: &mut Bytes<'_>) -> Result<u16, Unfit> {
        let array = reader.array()?;
        Ok(if self.little {
            u16::from_le_bytes(array)
        } else {
            u16::from_be_bytes(array)
        })
    }

    fn u32(&self, reader: &mut Bytes<'_>) -> Result<u32, Unfit> {
        let array = reader.array()?;
        Ok(if self.little {
            u32::from_le_bytes(array)
        } else {
            u32::from_be_bytes(array)
        })
    }
}
