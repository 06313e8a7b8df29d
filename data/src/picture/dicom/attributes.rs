//! The attributes that decide how pixels are stored and shown (PS3.3, C.7.6.3, C.11.1 and C.11.2).

use std::collections::BTreeMap;

use dicom_core::Tag;

use super::samples::Order;
use super::{Unfit, damaged};
use crate::SkipReason;

const SAMPLES_PER_PIXEL: Tag = Tag(0x0028, 0x0002);
const PHOTOMETRIC: Tag = Tag(0x0028, 0x0004);
const PLANAR: Tag = Tag(0x0028, 0x0006);
const FRAMES: Tag = Tag(0x0028, 0x0008);
const ROWS: Tag = Tag(0x0028, 0x0010);
const COLUMNS: Tag = Tag(0x0028, 0x0011);
const BITS_ALLOCATED: Tag = Tag(0x0028, 0x0100);
const BITS_STORED: Tag = Tag(0x0028, 0x0101);
const HIGH_BIT: Tag = Tag(0x0028, 0x0102);
const SIGNED: Tag = Tag(0x0028, 0x0103);
const PADDING: Tag = Tag(0x0028, 0x0120);
const WINDOW_CENTRE: Tag = Tag(0x0028, 0x1050);
const WINDOW_WIDTH: Tag = Tag(0x0028, 0x1051);
const INTERCEPT: Tag = Tag(0x0028, 0x1052);
const SLOPE: Tag = Tag(0x0028, 0x1053);
const VOI_FUNCTION: Tag = Tag(0x0028, 0x1056);

/// All elements whose values are read.
pub(super) const WANTED: [Tag; 16] = [
    SAMPLES_PER_PIXEL,
    PHOTOMETRIC,
    PLANAR,
    FRAMES,
    ROWS,
    COLUMNS,
    BITS_ALLOCATED,
    BITS_STORED,
    HIGH_BIT,
    SIGNED,
    PADDING,
    WINDOW_CENTRE,
    WINDOW_WIDTH,
    INTERCEPT,
    SLOPE,
    VOI_FUNCTION,
];

/// Sequences in which enhanced objects keep the window: of all frames, and of each.
pub(super) const FRAME_GROUPS: [Tag; 2] = [Tag(0x5200, 0x9229), Tag(0x5200, 0x9230)];

/// What samples mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Photometric {
    /// The smallest value is white.
    Monochrome1,
    /// The smallest value is black.
    Monochrome2,
    Rgb,
    YbrFull,
    YbrFull422,
}

impl Photometric {
    pub(super) fn is_grey(self) -> bool {
        matches!(self, Self::Monochrome1 | Self::Monochrome2)
    }
}

/// Which values are shown from black to white, after rescaling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window {
    pub(super) centre: f64,
    pub(super) width: f64,
    pub(super) function: VoiFunction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VoiFunction {
    Linear,
    LinearExact,
    Sigmoid,
}

#[derive(Debug)]
pub(super) struct Attributes {
    pub(super) rows: u16,
    pub(super) columns: u16,
    pub(super) photometric: Photometric,
    pub(super) frames: u32,
    /// 1 or 3.
    pub(super) samples: usize,
    /// 8 or 16.
    pub(super) bits_allocated: u16,
    /// 1 to `bits_allocated`.
    pub(super) bits_stored: u16,
    /// Unused bits below the stored ones.
    pub(super) shift: u16,
    pub(super) signed: bool,
    pub(super) is_planar: bool,
    pub(super) padding: Option<u16>,
    pub(super) slope: f64,
    pub(super) intercept: f64,
    pub(super) window: Option<Window>,
}

impl Attributes {
    pub(super) fn from_elements(values: &BTreeMap<Tag, Vec<u8>>) -> Result<Self, Unfit> {
        let short = |tag| {
            let value = values.get(&tag)?.first_chunk::<2>()?;
            Some(u16::from_le_bytes(*value))
        };
        let number = |tag| values.get(&tag).and_then(|value| first_number(value));
        let (Some(rows), Some(columns)) = (short(ROWS), short(COLUMNS)) else {
            return Err(Unfit::new(
                SkipReason::UnsupportedFormat,
                "a DICOM file without a picture, such as a report or plan; leave it out",
            ));
        };
        let photometric = photometric(values.get(&PHOTOMETRIC).ok_or_else(damaged)?)?;
        let samples = usize::from(short(SAMPLES_PER_PIXEL).unwrap_or(1));
        if samples != if photometric.is_grey() { 1 } else { 3 } {
            return Err(damaged());
        }
        let bits_allocated = short(BITS_ALLOCATED).ok_or_else(damaged)?;
        if !matches!(bits_allocated, 8 | 16) {
            return Err(Unfit::new(
                SkipReason::ChannelDepth,
                "a DICOM picture of neither 8 nor 16 bits per sample; export it as one of these",
            ));
        }
        let bits_stored = short(BITS_STORED).unwrap_or(bits_allocated);
        let high_bit = short(HIGH_BIT).unwrap_or(bits_stored.wrapping_sub(1));
        let shift = (high_bit + 1)
            .checked_sub(bits_stored)
            .ok_or_else(damaged)?;
        if !(1..=bits_allocated).contains(&bits_stored) || high_bit >= bits_allocated {
            return Err(damaged());
        }
        let function = match values.get(&VOI_FUNCTION).map(|code| code.trim_ascii()) {
            Some(b"SIGMOID") => VoiFunction::Sigmoid,
            Some(b"LINEAR_EXACT") => VoiFunction::LinearExact,
            _ => VoiFunction::Linear,
        };
        let window = match (number(WINDOW_CENTRE), number(WINDOW_WIDTH)) {
            (Some(centre), Some(width)) if width > 0.0 => Some(Window {
                centre,
                width,
                function,
            }),
            _ => None,
        };
        Ok(Self {
            rows,
            columns,
            photometric,
            frames: number(FRAMES).map_or(1, |frames| frames as u32),
            samples,
            bits_allocated,
            bits_stored,
            shift,
            signed: short(SIGNED) == Some(1),
            is_planar: short(PLANAR) == Some(1),
            padding: short(PADDING),
            slope: number(SLOPE).unwrap_or(1.0),
            intercept: number(INTERCEPT).unwrap_or(0.0),
            window,
        })
    }

    pub(super) fn pixels(&self) -> usize {
        usize::from(self.rows) * usize::from(self.columns)
    }

    pub(super) fn order(&self) -> Order {
        if self.is_planar {
            Order::Planar
        } else {
            Order::Interleaved
        }
    }
}

/// The first of the numbers in a decimal or integer string (VR DS and IS).
fn first_number(value: &[u8]) -> Option<f64> {
    let first = value.split(|byte| *byte == b'\\').next()?;
    let text = std::str::from_utf8(first).ok()?;
    let number: f64 = text.trim_matches(['\0', ' ']).parse().ok()?;
    number.is_finite().then_some(number)
}

fn photometric(code: &[u8]) -> Result<Photometric, Unfit> {
    match code.trim_ascii_end() {
        b"MONOCHROME1" => Ok(Photometric::Monochrome1),
        b"MONOCHROME2" => Ok(Photometric::Monochrome2),
        b"RGB" => Ok(Photometric::Rgb),
        b"YBR_FULL" => Ok(Photometric::YbrFull),
        b"YBR_FULL_422" => Ok(Photometric::YbrFull422),
        _ => Err(Unfit::new(
            SkipReason::UnsupportedFormat,
            "a DICOM picture that is neither grey, RGB nor YBR_FULL (a palette, for example); export it as RGB",
        )),
    }
}
