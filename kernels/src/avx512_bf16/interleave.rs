//! Arranging rows and columns of values in tiles of bf16 pairs.

use std::arch::x86_64::__m512i;
use std::arch::x86_64::{
    _mm512_setzero_si512, _mm512_shuffle_i32x4, _mm512_storeu_si512, _mm512_unpackhi_epi32,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use super::Vectors;
use super::round::RoundToBf16;
use crate::product::TILE;

impl Vectors {
    /// A tile of pairs: `count` values of at most 32 rows, at most 16 of each, which begin at `from` and the offset of each; the
    /// values of rows 2p and 2p + 1 side by side in line p. What is missing is zero.
    ///
    /// # Safety
    /// `from` and each offset must be followed by `count` values.
    pub(crate) unsafe fn interleave_rows<T: RoundToBf16>(
        self,
        from: *const T,
        offsets: &[usize],
        count: usize,
        to: &mut [u16; TILE],
    ) {
        // SAFETY: `detect` has seen the features; the rest is the caller's promise.
        unsafe { interleave_rows(from, offsets, count, to) };
    }

    /// A tile of pairs: 16 columns of 32 values, the values 2p and 2p + 1 of each column side by side in line p.
    ///
    /// `column` gives a column, at most 32 values; what it lacks is zero.
    pub(crate) fn interleave_columns<'a, T: RoundToBf16 + 'a>(
        self,
        column: impl Fn(usize) -> &'a [T],
        to: &mut [u16; TILE],
    ) {
        // SAFETY: `detect` has seen the features.
        unsafe { interleave_columns(column, to) };
    }

    /// The transpose of 32 rows x 16 columns of values: a tile of 16 lines.
    ///
    /// `row` gives the columns of a row, at most 16 values; what it lacks is zero. Rows 2 p and 2 p + 1 have as many values, or the
    /// second one none.
    ///
    /// # Panics
    /// If they have not.
    pub(crate) fn transpose<'a, T: RoundToBf16 + 'a>(
        self,
        row: impl Fn(usize) -> &'a [T],
        to: &mut [u16; TILE],
    ) {
        // SAFETY: `detect` has seen the features.
        unsafe { transpose(row, to) };
    }
}

/// # Safety
/// As [`Vectors::interleave_rows`], and the processor must have AVX512F, AVX512BW and AVX512_BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn interleave_rows<T: RoundToBf16>(
    from: *const T,
    offsets: &[usize],
    count: usize,
    to: &mut [u16; TILE],
) {
    let (lines, _) = to.as_chunks_mut::<32>();
    let mut filled = 0;
    for (to, pair) in lines.iter_mut().zip(offsets.chunks(2)) {
        // SAFETY: the caller's promise; a line has 64 bytes.
        unsafe {
            let even = from.add(pair[0]);
            let odd = pair.get(1).map_or(std::ptr::null(), |odd| from.add(*odd));
            _mm512_storeu_si512(to.as_mut_ptr().cast(), T::pair(even, odd, count));
        }
        filled += 1;
    }
    for to in lines.iter_mut().skip(filled) {
        to.fill(0);
    }
}

/// # Safety
/// The processor must have AVX512F, AVX512BW and AVX512_BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn interleave_columns<'a, T: RoundToBf16 + 'a>(
    column: impl Fn(usize) -> &'a [T],
    to: &mut [u16; TILE],
) {
    let mut columns = [_mm512_setzero_si512(); 16];
    for (i, to) in columns.iter_mut().enumerate() {
        let values = column(i);
        if !values.is_empty() {
            // SAFETY: the caller's features; as many values as the slice has.
            *to = unsafe { T::load(values.as_ptr(), values.len()) };
        }
    }
    // SAFETY: the caller's features.
    let lines = unsafe { transposed(columns) };
    store(&lines, to);
}

/// Writes the lines of a tile.
#[inline]
#[target_feature(enable = "avx512f")]
fn store(lines: &[__m512i; 16], to: &mut [u16; TILE]) {
    let (to, _) = to.as_chunks_mut::<32>();
    for (line, to) in lines.iter().zip(to) {
        // SAFETY: a line has 64 bytes.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), *line) };
    }
}

/// # Safety
/// The processor must have AVX512F, AVX512BW and AVX512_BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn transpose<'a, T: RoundToBf16 + 'a>(row: impl Fn(usize) -> &'a [T], to: &mut [u16; TILE]) {
    let mut pairs = [_mm512_setzero_si512(); 16];
    for (p, pair) in pairs.iter_mut().enumerate() {
        let (even, odd) = (row(2 * p), row(2 * p + 1));
        let start = |row: &[T]| {
            if row.is_empty() {
                std::ptr::null()
            } else {
                row.as_ptr()
            }
        };
        assert!(odd.is_empty() || odd.len() == even.len(), "rows of a tile");
        // SAFETY: the caller's features; the rows have as many values, or the second has none.
        *pair = unsafe { T::pair(start(even), start(odd), even.len()) };
    }
    // SAFETY: the caller's features.
    let lines = unsafe { transposed(pairs) };
    store(&lines, to);
}

/// The transpose of 16 x 16 values of 32 bits.
///
/// # Safety
/// The processor must have AVX512F.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) unsafe fn transposed(rows: [__m512i; 16]) -> [__m512i; 16] {
    let mut twos = rows;
    for i in (0..16).step_by(2) {
        twos[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        twos[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    // Quarter q of fours[4 g + j] holds column 4 q + j of rows 4 g .. 4 g + 4.
    let mut fours = twos;
    for g in (0..16).step_by(4) {
        fours[g] = _mm512_unpacklo_epi64(twos[g], twos[g + 2]);
        fours[g + 1] = _mm512_unpackhi_epi64(twos[g], twos[g + 2]);
        fours[g + 2] = _mm512_unpacklo_epi64(twos[g + 1], twos[g + 3]);
        fours[g + 3] = _mm512_unpackhi_epi64(twos[g + 1], twos[g + 3]);
    }
    const EVEN: i32 = 0x88;
    const ODD: i32 = 0xdd;
    let mut columns = fours;
    for j in 0..4 {
        let [a, b, c, d] = [fours[j], fours[4 + j], fours[8 + j], fours[12 + j]];
        let (upper_even, upper_odd) = (
            _mm512_shuffle_i32x4::<EVEN>(a, b),
            _mm512_shuffle_i32x4::<ODD>(a, b),
        );
        let (lower_even, lower_odd) = (
            _mm512_shuffle_i32x4::<EVEN>(c, d),
            _mm512_shuffle_i32x4::<ODD>(c, d),
        );
        columns[j] = _mm512_shuffle_i32x4::<EVEN>(upper_even, lower_even);
        columns[8 + j] = _mm512_shuffle_i32x4::<ODD>(upper_even, lower_even);
        columns[4 + j] = _mm512_shuffle_i32x4::<EVEN>(upper_odd, lower_odd);
        columns[12 + j] = _mm512_shuffle_i32x4::<ODD>(upper_odd, lower_odd);
    }
    columns
}
