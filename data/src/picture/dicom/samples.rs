//! Stored samples of uncompressed pixel data (PS3.5, section 8.1 and 8.2; PS3.3, C.7.6.3.1.2 and .3).

use super::attributes::{Attributes, Photometric};
use super::{Unfit, cut_short};

/// How the samples of colours lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Pixel by pixel.
    Interleaved,
    /// Plane by plane.
    Planar,
}

/// The stored bits of each grey pixel, without what lies in unused bits.
pub(super) fn grey(data: &[u8], attributes: &Attributes) -> Result<Vec<u16>, Unfit> {
    let samples = Samples::of(data, attributes, attributes.pixels())?;
    Ok((0..attributes.pixels()).map(|i| samples.bits(i)).collect())
}

/// RGB bytes of colours.
pub(super) fn colour(data: &[u8], attributes: &Attributes, order: Order) -> Result<Vec<u8>, Unfit> {
    let pixels = attributes.pixels();
    let is_halved = attributes.photometric == Photometric::YbrFull422;
    let count = if is_halved {
        pixels.div_ceil(2) * 4
    } else {
        pixels * 3
    };
    let samples = Samples::of(data, attributes, count)?;
    let rgb = (0..pixels).flat_map(|i| {
        let triple = if is_halved {
            // Two pixels share their colour differences: Y, Y, Cb, Cr.
            let start = i / 2 * 4;
            [start + i % 2, start + 2, start + 3]
        } else if order == Order::Planar {
            [i, pixels + i, 2 * pixels + i]
        } else {
            [3 * i, 3 * i + 1, 3 * i + 2]
        };
        let values = triple.map(|at| samples.to_8_bits(at));
        match attributes.photometric {
            Photometric::YbrFull | Photometric::YbrFull422 => rgb_of_ybr(values),
            _ => values,
        }
    });
    Ok(rgb.collect())
}

struct Samples<'a> {
    data: &'a [u8],
    is_wide: bool,
    shift: u16,
    mask: u16,
}

impl<'a> Samples<'a> {
    fn of(data: &'a [u8], attributes: &Attributes, count: usize) -> Result<Self, Unfit> {
        let is_wide = attributes.bits_allocated == 16;
        let needed = if is_wide { count * 2 } else { count };
        if data.len() < needed {
            return Err(cut_short());
        }
        Ok(Self {
            data,
            is_wide,
            shift: attributes.shift,
            mask: (((1u32 << attributes.bits_stored) - 1) & u32::from(u16::MAX)) as u16,
        })
    }

    fn bits(&self, at: usize) -> u16 {
        let word = if self.is_wide {
            let (words, _) = self.data.as_chunks::<2>();
            u16::from_le_bytes(words[at])
        } else {
            self.data[at].into()
        };
        word >> self.shift & self.mask
    }

    fn to_8_bits(&self, at: usize) -> u8 {
        let most = u32::from(self.mask);
        ((u32::from(self.bits(at)) * 255 + most / 2) / most) as u8
    }
}

/// Full-range ITU-R BT.601.
fn rgb_of_ybr([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (f64::from(y), f64::from(cb) - 128.0, f64::from(cr) - 128.0);
    [
        y + 1.402 * cr,
        y - 0.344_136 * cb - 0.714_136 * cr,
        y + 1.772 * cb,
    ]
    .map(|v| v.round().clamp(0.0, 255.0) as u8)
}
