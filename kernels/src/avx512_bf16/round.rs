//! Rounding f32 values to bf16.

use std::arch::x86_64::{__m512bh, __m512i};
use std::arch::x86_64::{
    _mm512_cvtne2ps_pbh, _mm512_mask_storeu_epi16, _mm512_maskz_loadu_epi16, _mm512_maskz_loadu_ps,
    _mm512_storeu_si512,
};

use super::Vectors;
use crate::product::{TILE, TILE_DEPTH};

/// Values that become bf16: f32 values, or bf16 ones as they are.
pub(crate) trait RoundToBf16: Copy + Sync {
    /// `count` values, at most 32, the rest zeros; f32 values rounded to nearest even, subnormal ones to zero.
    ///
    /// # Safety
    /// `from` must be followed by `count` values; the processor must have AVX512F, AVX512BW and AVX512_BF16.
    unsafe fn load(from: *const Self, count: usize) -> __m512i;
}

/// The lowest `count` bits of 32.
pub(super) fn lanes(count: usize) -> u32 {
    ((1u64 << count.min(32)) - 1) as u32
}

impl RoundToBf16 for u16 {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn load(from: *const u16, count: usize) -> __m512i {
        // SAFETY: lanes beyond `count` are not read.
        unsafe { _mm512_maskz_loadu_epi16(lanes(count), from.cast()) }
    }
}

impl RoundToBf16 for f32 {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn load(from: *const f32, count: usize) -> __m512i {
        let [low, high] = [lanes(count) as u16, (lanes(count) >> 16) as u16];
        // SAFETY: lanes beyond `count` are not read.
        unsafe {
            let low = _mm512_maskz_loadu_ps(low, from);
            let high = _mm512_maskz_loadu_ps(high, from.wrapping_add(16));
            std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low))
        }
    }
}

impl Vectors {
    /// Rounds every value.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub(crate) fn narrow(self, from: &[f32], to: &mut [u16]) {
        assert_eq!(from.len(), to.len(), "values to round");
        // SAFETY: `detect` has seen the features; the slices are equally long.
        unsafe { narrow(from, to) };
    }

    /// Copies runs of `len` values, each from and to where `runs` says, in tiles: each 32 values `TILE` further than those before,
    /// the last ones filled up with zeros.
    ///
    /// # Panics
    /// If a run reaches beyond its slice.
    pub(crate) fn gather<T: RoundToBf16>(
        self,
        from: &[T],
        runs: impl Iterator<Item = (usize, usize)>,
        len: usize,
        to: &mut [u16],
    ) {
        // SAFETY: `detect` has seen the features.
        unsafe { gather(from, runs, len, to) };
    }
}

/// # Safety
/// The processor must have AVX512F, AVX512BW and AVX512_BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn gather<T: RoundToBf16>(
    from: &[T],
    runs: impl Iterator<Item = (usize, usize)>,
    len: usize,
    to: &mut [u16],
) {
    let reach = (len.div_ceil(TILE_DEPTH) - 1) * TILE + TILE_DEPTH;
    for (start, place) in runs {
        assert!(
            start + len <= from.len() && place + reach <= to.len(),
            "a run"
        );
        for (tile, done) in (0..len).step_by(TILE_DEPTH).enumerate() {
            let count = (len - done).min(TILE_DEPTH);
            // SAFETY: the caller's features; the run and its tiles were checked.
            unsafe {
                let values = T::load(from.as_ptr().add(start + done), count);
                _mm512_storeu_si512(to.as_mut_ptr().add(place + tile * TILE).cast(), values);
            }
        }
    }
}

/// # Safety
/// The slices must be equally long; the processor must have AVX512F, AVX512BW and AVX512_BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn narrow(from: &[f32], to: &mut [u16]) {
    for (from, to) in from.chunks(32).zip(to.chunks_mut(32)) {
        // SAFETY: as many values as the chunks have.
        unsafe {
            let values = f32::load(from.as_ptr(), from.len());
            _mm512_mask_storeu_epi16(to.as_mut_ptr().cast(), lanes(from.len()), values);
        }
    }
}
