//! Dot products of bf16 pairs by AVX-512.

use std::arch::x86_64::{__m512, __m512bh, __m512i};
use std::arch::x86_64::{
    _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_loadu_si512,
    _mm512_mask_storeu_epi16, _mm512_maskz_loadu_epi16, _mm512_maskz_loadu_ps,
    _mm512_permutexvar_epi16, _mm512_set_epi16, _mm512_set1_epi32, _mm512_setzero_ps,
    _mm512_setzero_si512, _mm512_shuffle_i32x4, _mm512_storeu_ps, _mm512_storeu_si512,
    _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use crate::product::{BLOCK_ROWS, Block, TILE, TILE_DEPTH};

/// Rows whose sums are in registers together with two vectors of columns.
const ROWS: usize = 8;

/// Pairs of rows in a panel's tile.
const PAIRS: usize = 16;

/// That the processor has the instructions.
#[derive(Clone, Copy)]
pub(crate) struct Vectors {
    detected: (),
}

impl Vectors {
    /// # Panics
    /// If the processor lacks AVX512_BF16, or the vectors that every processor with it has.
    pub(crate) fn detect() -> Self {
        assert!(
            std::arch::is_x86_feature_detected!("avx512bf16")
                && std::arch::is_x86_feature_detected!("avx512f")
                && std::arch::is_x86_feature_detected!("avx512bw")
                && std::arch::is_x86_feature_detected!("avx512dq"),
            "bf16 instructions that this processor lacks"
        );
        Self { detected: () }
    }

    /// The sums of a block.
    ///
    /// # Safety
    /// The addresses of the block must be those of [`Block::new`], their slices alive, and its sums not shared.
    pub(crate) unsafe fn multiply(self, block: &Block) {
        let () = self.detected;
        for first in (0..BLOCK_ROWS).step_by(ROWS) {
            // SAFETY: `detect` has seen the features; the rest is the caller's promise.
            unsafe { rows(block, first) };
        }
    }
}

/// The sums of rows `first..first + ROWS` of a block.
///
/// # Safety
/// As [`Vectors::multiply`], and the processor must have AVX512F and AVX512_BF16.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn rows(block: &Block, first: usize) {
    let (tile, first) = (first / (BLOCK_ROWS / 2), first % (BLOCK_ROWS / 2));
    let mut registers: [[__m512; 2]; ROWS] = [[_mm512_setzero_ps(); 2]; ROWS];
    if !block.start[tile].is_null() {
        for (i, registers) in registers.iter_mut().enumerate() {
            for (j, sum) in registers.iter_mut().enumerate() {
                // SAFETY: as the caller promises.
                *sum = unsafe {
                    let row = block.start[tile].byte_add((first + i) * block.start_row);
                    _mm512_loadu_ps(row.add(16 * j))
                };
            }
        }
    }
    let mut left = block.left[tile].wrapping_byte_add(first * block.left_row);
    let mut right = block.right;
    for _ in 0..block.segments {
        for _ in 0..block.tiles {
            for pair in 0..PAIRS {
                // SAFETY: as the caller promises.
                unsafe {
                    let columns = right.map(|right| {
                        let vector = _mm512_loadu_si512(right.add(pair * 32).cast());
                        std::mem::transmute::<__m512i, __m512bh>(vector)
                    });
                    for (i, registers) in registers.iter_mut().enumerate() {
                        let at = left.byte_add(i * block.left_row).add(pair * 2);
                        let value = _mm512_set1_epi32(at.cast::<i32>().read_unaligned());
                        let value = std::mem::transmute::<__m512i, __m512bh>(value);
                        for (sum, column) in registers.iter_mut().zip(columns) {
                            *sum = _mm512_dpbf16_ps(*sum, value, column);
                        }
                    }
                }
            }
            left = left.wrapping_byte_add(block.left_tile);
            right = right.map(|right| right.wrapping_add(PAIRS * 32));
        }
        left = left.wrapping_byte_add(block.left_jump);
    }
    for (i, registers) in registers.into_iter().enumerate() {
        for (j, sum) in registers.into_iter().enumerate() {
            // SAFETY: as the caller promises.
            unsafe {
                let row = block.sums[tile].byte_add((first + i) * block.sums_row);
                _mm512_storeu_ps(row.add(16 * j), sum);
            }
        }
    }
}

/// Values that become bf16.
pub(crate) trait Half: Copy + Sync {
    /// `count` values, at most 32, the rest zeros; f32 values rounded to nearest even, subnormal ones to zero.
    ///
    /// # Safety
    /// `from` must be followed by `count` values; the processor must have AVX512F, AVX512BW and AVX512_BF16.
    unsafe fn load(from: *const Self, count: usize) -> __m512i;
}

/// The lowest `count` bits of 32.
fn lanes(count: usize) -> u32 {
    ((1u64 << count.min(32)) - 1) as u32
}

impl Half for u16 {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn load(from: *const u16, count: usize) -> __m512i {
        // SAFETY: lanes beyond `count` are not read.
        unsafe { _mm512_maskz_loadu_epi16(lanes(count), from.cast()) }
    }
}

impl Half for f32 {
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

    /// Copies runs of `len` values that begin at `starts` to `places`, in tiles: each 32 values `TILE` further than those
    /// before, the last ones filled up with zeros.
    ///
    /// # Panics
    /// If a run reaches beyond its slice.
    pub(crate) fn gather<T: Half>(
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
unsafe fn gather<T: Half>(
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

impl Vectors {
    /// A tile of pairs: `count` values of at most 32 rows, at most 16 of each, which begin at `from` and the offset of each; the
    /// values of rows 2p and 2p + 1 side by side in line p. What is missing is zero.
    ///
    /// # Safety
    /// `from` and each offset must be followed by `count` values.
    pub(crate) unsafe fn interleave_rows(
        self,
        from: *const f32,
        offsets: &[usize],
        count: usize,
        to: &mut [u16; TILE],
    ) {
        // SAFETY: `detect` has seen the features; the rest is the caller's promise.
        unsafe { interleave_rows(from, offsets, count, to) };
    }

    /// A tile of pairs: 16 columns of 32 f32 values, the values 2p and 2p + 1 of each column side by side in line p.
    ///
    /// `column` gives a column, at most 32 values; what it lacks is zero.
    pub(crate) fn interleave_columns<'a>(
        self,
        column: impl Fn(usize) -> &'a [f32],
        to: &mut [u16; TILE],
    ) {
        // SAFETY: `detect` has seen the features.
        unsafe { interleave_columns(column, to) };
    }

    /// The transpose of 32 rows x 16 columns of f32 values: a tile of 16 lines.
    ///
    /// `row` gives the columns of a row, at most 16 values; what it lacks is zero.
    pub(crate) fn transpose<'a>(self, row: impl Fn(usize) -> &'a [f32], to: &mut [u16; TILE]) {
        // SAFETY: `detect` has seen the features.
        unsafe { transpose(row, to) };
    }
}

/// # Safety
/// As [`Vectors::interleave_rows`], and the processor must have AVX512F, AVX512BW and AVX512_BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn interleave_rows(from: *const f32, offsets: &[usize], count: usize, to: &mut [u16; TILE]) {
    let mask = lanes(count.min(16)) as u16;
    let (lines, _) = to.as_chunks_mut::<32>();
    let (pairs, last) = offsets.as_chunks::<2>();
    let mut filled = 0;
    for (to, [even, odd]) in lines.iter_mut().zip(pairs) {
        // SAFETY: the caller's promise; a line has 64 bytes.
        unsafe {
            let even = _mm512_maskz_loadu_ps(mask, from.add(*even));
            let odd = _mm512_maskz_loadu_ps(mask, from.add(*odd));
            _mm512_storeu_si512(to.as_mut_ptr().cast(), side_by_side(even, odd));
        }
        filled += 1;
    }
    if let ([even], Some(to)) = (last, lines.get_mut(filled)) {
        // SAFETY: as above.
        unsafe {
            let even = _mm512_maskz_loadu_ps(mask, from.add(*even));
            let line = side_by_side(even, _mm512_setzero_ps());
            _mm512_storeu_si512(to.as_mut_ptr().cast(), line);
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
unsafe fn interleave_columns<'a>(column: impl Fn(usize) -> &'a [f32], to: &mut [u16; TILE]) {
    let mut columns = [_mm512_setzero_si512(); 16];
    for (i, to) in columns.iter_mut().enumerate() {
        let values = column(i);
        if !values.is_empty() {
            // SAFETY: the caller's features; as many values as the slice has.
            *to = unsafe { f32::load(values.as_ptr(), values.len()) };
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
unsafe fn transpose<'a>(row: impl Fn(usize) -> &'a [f32], to: &mut [u16; TILE]) {
    let mut pairs = [_mm512_setzero_si512(); 16];
    for (p, pair) in pairs.iter_mut().enumerate() {
        // SAFETY: the caller's features.
        *pair = unsafe { pair_of(row(2 * p), row(2 * p + 1)) };
    }
    // SAFETY: the caller's features.
    let lines = unsafe { transposed(pairs) };
    store(&lines, to);
}

/// The values of two rows side by side, of at most 16 columns each.
///
/// # Safety
/// The processor must have AVX512F, AVX512BW and AVX512_BF16.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn pair_of(even: &[f32], odd: &[f32]) -> __m512i {
    let mask = |row: &[f32]| lanes(row.len().min(16)) as u16;
    // SAFETY: lanes beyond the slices are not read.
    unsafe {
        let even = _mm512_maskz_loadu_ps(mask(even), even.as_ptr());
        let odd = _mm512_maskz_loadu_ps(mask(odd), odd.as_ptr());
        side_by_side(even, odd)
    }
}

/// The values of two vectors in bf16, in turn.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn side_by_side(even: __m512, odd: __m512) -> __m512i {
    // 0, 16, 1, 17, ..
    let order = _mm512_set_epi16(
        31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4,
        19, 3, 18, 2, 17, 1, 16, 0,
    );
    let both = _mm512_cvtne2ps_pbh(odd, even);
    // SAFETY: as many bytes, whatever they hold.
    let both = unsafe { std::mem::transmute::<__m512bh, __m512i>(both) };
    _mm512_permutexvar_epi16(order, both)
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
