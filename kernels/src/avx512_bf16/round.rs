//! Loading values as bf16, f32 ones rounded; storing f32 values rounded.

use std::arch::x86_64::{__m512bh, __m512i};
use std::arch::x86_64::{
    _mm512_castsi512_si256, _mm512_cvtne2ps_pbh, _mm512_inserti64x4, _mm512_mask_storeu_epi16,
    _mm512_maskz_loadu_epi16, _mm512_maskz_loadu_ps, _mm512_permutexvar_epi16, _mm512_set_epi16,
    _mm512_storeu_si512,
};

use half::bf16;

use super::Vectors;
use crate::product::{Shared, TILE, TILE_DEPTH};

/// Values that become bf16: f32 values, or bf16 ones as they are.
pub(crate) trait RoundToBf16: Copy + Sync {
    /// `count` values, at most 32, the rest zeros; f32 values rounded to nearest even, subnormal ones to zero.
    ///
    /// # Safety
    /// `from` must be followed by `count` values; the processor must have AVX512F, AVX512BW and AVX512_BF16.
    unsafe fn load(from: *const Self, count: usize) -> __m512i;

    /// `count` values, at most 16, each of the first row beside one of the second; the rest zeros.
    ///
    /// # Safety
    /// Rows must be null or followed by `count` values, null being zeros; the features are those of [`RoundToBf16::load`].
    unsafe fn pair(even: *const Self, odd: *const Self, count: usize) -> __m512i;
}

/// The lowest `count` bits of 32.
fn lanes(count: usize) -> u32 {
    ((1u64 << count.min(32)) - 1) as u32
}

impl RoundToBf16 for bf16 {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn load(from: *const bf16, count: usize) -> __m512i {
        // SAFETY: lanes beyond `count` are not read.
        unsafe { _mm512_maskz_loadu_epi16(lanes(count), from.cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn pair(even: *const bf16, odd: *const bf16, count: usize) -> __m512i {
        let row = |row: *const bf16| {
            let count = if row.is_null() { 0 } else { count.min(16) };
            // SAFETY: lanes beyond `count` are not read.
            unsafe { _mm512_maskz_loadu_epi16(lanes(count), row.cast()) }
        };
        let both = _mm512_inserti64x4::<1>(row(even), _mm512_castsi512_si256(row(odd)));
        in_turn(both)
    }
}

/// 0, 16, 1, 17, ..
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn in_turn(both: __m512i) -> __m512i {
    let order = _mm512_set_epi16(
        31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4,
        19, 3, 18, 2, 17, 1, 16, 0,
    );
    _mm512_permutexvar_epi16(order, both)
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

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn pair(even: *const f32, odd: *const f32, count: usize) -> __m512i {
        let row = |row: *const f32| {
            let count = if row.is_null() { 0 } else { count.min(16) };
            // SAFETY: lanes beyond `count` are not read.
            unsafe { _mm512_maskz_loadu_ps(lanes(count) as u16, row) }
        };
        let both = _mm512_cvtne2ps_pbh(row(odd), row(even));
        // SAFETY: as many bytes, whatever they hold.
        in_turn(unsafe { std::mem::transmute::<__m512bh, __m512i>(both) })
    }
}

impl Vectors {
    /// Rounds every value.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub(crate) fn narrow(self, from: &[f32], to: &mut [bf16]) {
        assert_eq!(from.len(), to.len(), "values to round");
        // SAFETY: `detect` has seen the features; the slices are equally long.
        unsafe { narrow(from, to) };
    }

    /// Rounds rows of `columns` sums, `stride` apart, to where `targets` say.
    ///
    /// # Panics
    /// If a row reaches beyond its slice.
    ///
    /// # Safety
    /// Nothing else may read or write the target rows' columns meanwhile.
    pub(crate) unsafe fn narrow_rows(
        self,
        sums: &[f32],
        stride: usize,
        columns: usize,
        targets: &[usize],
        to: Shared<'_, bf16>,
    ) {
        // SAFETY: `detect` has seen the features; the rest is the caller's promise.
        unsafe { narrow_rows(sums, stride, columns, targets, to) };
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
/// As [`Vectors::narrow_rows`], and the processor must have AVX512F, AVX512BW and AVX512_BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn narrow_rows(
    sums: &[f32],
    stride: usize,
    columns: usize,
    targets: &[usize],
    to: Shared<'_, bf16>,
) {
    assert!(columns <= stride && targets.len() * stride <= sums.len() + stride - columns);
    let reach = to.len().checked_sub(columns);
    for (row, target) in targets.iter().enumerate() {
        assert!(reach.is_some_and(|reach| *target <= reach), "a row");
        for first in (0..columns).step_by(TILE_DEPTH) {
            let count = (columns - first).min(TILE_DEPTH);
            // SAFETY: the assertions hold row and target inside their slices.
            unsafe {
                let values = f32::load(sums.as_ptr().add(row * stride + first), count);
                let to = to.start().add(target + first);
                _mm512_mask_storeu_epi16(to.cast(), lanes(count), values);
            }
        }
    }
}

/// # Safety
/// The slices must be equally long; the processor must have AVX512F, AVX512BW and AVX512_BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn narrow(from: &[f32], to: &mut [bf16]) {
    for (from, to) in from.chunks(32).zip(to.chunks_mut(32)) {
        // SAFETY: as many values as the chunks have.
        unsafe {
            let values = f32::load(from.as_ptr(), from.len());
            _mm512_mask_storeu_epi16(to.as_mut_ptr().cast(), lanes(from.len()), values);
        }
    }
}
