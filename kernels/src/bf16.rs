//! Conversion between f32 and bfloat16, the upper half of an f32.

/// Rounds to the nearest bfloat16, ties to even; NaN stays NaN.
#[inline(always)]
pub(crate) fn from_f32(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    let quiet = (bits >> 16) | 0x40;
    (if value.is_nan() { quiet } else { rounded }) as u16
}

/// Exact.
#[inline(always)]
pub(crate) fn to_f32(value: u16) -> f32 {
    f32::from_bits(u32::from(value) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_to_nearest_even() {
        assert_eq!(from_f32(1.0), 0x3f80);
        // Halfway between 0x3f80 and 0x3f81, and between 0x3f81 and 0x3f82.
        assert_eq!(from_f32(f32::from_bits(0x3f80_8000)), 0x3f80);
        assert_eq!(from_f32(f32::from_bits(0x3f81_8000)), 0x3f82);
        assert_eq!(from_f32(f32::from_bits(0x3f80_8001)), 0x3f81);
        assert_eq!(from_f32(f32::INFINITY), 0x7f80);
        assert!(to_f32(from_f32(f32::NAN)).is_nan());
        assert_eq!(from_f32(f32::MAX), 0x7f80);
    }

    #[test]
    fn widening_is_exact() {
        for bits in (0..=u16::MAX).filter(|b| !to_f32(*b).is_nan()) {
            assert_eq!(from_f32(to_f32(bits)), bits);
        }
    }
}
