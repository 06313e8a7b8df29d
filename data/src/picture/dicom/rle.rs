//! RLE (PS3.5, annex G): one segment for each byte of each sample, packed as in PackBits.

use super::attributes::Attributes;
use super::{Unfit, cut_short, damaged};
use crate::picture::bytes::Bytes;

/// Length of the header: the number of segments and fifteen offsets.
const HEADER: usize = 64;

/// Samples pixel by pixel, in little endian.
pub(super) fn unpack(frame: &[u8], attributes: &Attributes) -> Result<Vec<u8>, Unfit> {
    let bytes_per_sample = usize::from(attributes.bits_allocated / 8);
    let stride = attributes.samples * bytes_per_sample;
    let mut header = Bytes::at(frame, 0);
    if header.u32_le().map_err(|_| cut_short())? as usize != stride {
        return Err(damaged());
    }
    let mut unpacked = vec![0; attributes.pixels() * stride];
    for segment in 0..stride {
        let offset = header.u32_le().map_err(|_| cut_short())? as usize;
        if offset < HEADER {
            return Err(damaged());
        }
        // The most significant byte of a sample has the first segment.
        let (sample, byte) = (segment / bytes_per_sample, segment % bytes_per_sample);
        let first = sample * bytes_per_sample + (bytes_per_sample - 1 - byte);
        let mut places = unpacked.iter_mut().skip(first).step_by(stride);
        unpack_segment(frame.get(offset..).ok_or_else(cut_short)?, &mut places)?;
    }
    Ok(unpacked)
}

/// Fills all places; what a segment holds beyond them is padding.
fn unpack_segment<'a>(
    packed: &[u8],
    places: &mut (impl ExactSizeIterator<Item = &'a mut u8> + Sized),
) -> Result<(), Unfit> {
    let mut reader = Bytes::at(packed, 0);
    while places.len() > 0 {
        let code = reader.u8().map_err(|_| cut_short())?;
        match code {
            0..=127 => {
                let literal = reader
                    .take(usize::from(code) + 1)
                    .map_err(|_| cut_short())?;
                // The literal first: a zip takes from its first side before it sees that the second has ended.
                literal
                    .iter()
                    .zip(&mut *places)
                    .for_each(|(value, place)| *place = *value);
            }
            128 => {}
            129..=255 => {
                let value = reader.u8().map_err(|_| cut_short())?;
                places
                    .take(257 - usize::from(code))
                    .for_each(|place| *place = value);
            }
        }
    }
    Ok(())
}
