//! From scores to weights.

use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _CMP_EQ_OQ, _CMP_NEQ_UQ, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEG_INF,
    _mm512_add_ps, _mm512_castps_si512, _mm512_castsi512_ps, _mm512_cmp_ps_mask,
    _mm512_cvtne2ps_pbh, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_loadu_ps,
    _mm512_mask_mov_ps, _mm512_maskz_mov_ps, _mm512_max_ps, _mm512_reduce_ps, _mm512_scalef_ps,
    _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps, _mm512_storeu_si512, _mm512_sub_ps,
};

use crate::avx512_bf16::{Vectors, transposed};
use crate::product::{BLOCK_ROWS, TILE, TILE_DEPTH, TILE_ROWS};

/// Scores of a block and what becomes of them.
pub(super) struct Weights<'a> {
    /// `[queries, keys]`, in powers of two; keys are whole tiles.
    pub(super) scores: &'a [f32],
    pub(super) keys: usize,
    /// `[2 row tiles, key tiles, 16, 32]`: the weights.
    pub(super) tiles: &'a mut [u16],
    pub(super) running: &'a mut Running,
    /// `[queries, width]`, what was summed before.
    pub(super) sums: &'a mut [f32],
    pub(super) width: usize,
}

/// The largest score of each query so far, and the sum of the weights relative to it.
#[repr(C, align(64))]
pub(super) struct Running {
    maxima: [f32; BLOCK_ROWS],
    /// In sixteen parts.
    totals: [[f32; 16]; BLOCK_ROWS],
}

impl Running {
    pub(super) fn new() -> Self {
        Self {
            maxima: [f32::NEG_INFINITY; BLOCK_ROWS],
            totals: [[0.0; 16]; BLOCK_ROWS],
        }
    }

    /// The sum of the weights of query `i`.
    pub(super) fn total(&self, i: usize) -> f32 {
        self.totals[i].iter().sum()
    }
}

impl Weights<'_> {
    /// Makes weights relative to the running maximum, and rescales what was summed before. Query i sees the first
    /// `seen(i)` keys of the block.
    ///
    /// # Panics
    /// If the slices do not fit.
    pub(super) fn run(self, _: Vectors, seen: impl Fn(usize) -> usize) {
        let rows = self.scores.len() / self.keys;
        assert!(
            self.keys.is_multiple_of(TILE_DEPTH) && rows <= BLOCK_ROWS,
            "keys"
        );
        assert!(self.tiles.len() >= BLOCK_ROWS * self.keys, "weights");
        assert!(self.width.is_multiple_of(16) && self.sums.len() >= BLOCK_ROWS * self.width);
        // SAFETY: `Vectors` has seen the features; the slices were checked.
        unsafe { weights(self, seen) };
    }
}

/// # Safety
/// As checked by [`Weights::run`]; the processor must have AVX512F, AVX512BW and AVX512_BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512bf16")]
unsafe fn weights(block: Weights<'_>, seen: impl Fn(usize) -> usize) {
    let Weights {
        scores,
        keys,
        tiles,
        running,
        sums,
        width,
    } = block;
    let depth = keys / TILE_DEPTH;
    for (tile, rows) in scores.chunks(TILE_ROWS * keys).enumerate() {
        let first = tile * TILE_ROWS;
        // Sixteen rows at a time: the largest of one row alone takes longer to find than its powers.
        let mut largest = [_mm512_castps_si512(_mm512_set1_ps(f32::NEG_INFINITY)); TILE_ROWS];
        for (i, (row, largest)) in rows.chunks_exact(keys).zip(&mut largest).enumerate() {
            // SAFETY: `row` has `keys` values.
            let vector = unsafe { max(row, seen(first + i).min(keys)) };
            *largest = _mm512_castps_si512(vector);
        }
        // SAFETY: the caller's features.
        let columns = unsafe { transposed(largest) };
        let maxima = &mut running.maxima[first..first + TILE_ROWS];
        // SAFETY: 16 values.
        let previous = unsafe { _mm512_loadu_ps(maxima.as_ptr()) };
        let mut maximum = previous;
        for column in columns {
            maximum = _mm512_max_ps(maximum, _mm512_castsi512_ps(column));
        }
        // SAFETY: 16 values.
        unsafe { _mm512_storeu_ps(maxima.as_mut_ptr(), maximum) };
        if _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(previous, maximum) != 0 {
            let same = _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(previous, maximum);
            let shrink = exp2(_mm512_sub_ps(previous, maximum));
            let shrink = _mm512_mask_mov_ps(shrink, same, _mm512_set1_ps(1.0));
            let mut each = [0f32; TILE_ROWS];
            // SAFETY: 16 values.
            unsafe { _mm512_storeu_ps(each.as_mut_ptr(), shrink) };
            for (i, shrink) in each.into_iter().enumerate() {
                if shrink != 1.0 {
                    let row = first + i;
                    scale_by(&mut running.totals[row], shrink);
                    scale_by(&mut sums[row * width..(row + 1) * width], shrink);
                }
            }
        }
        for (i, row) in rows.chunks_exact(keys).enumerate() {
            let seen = seen(first + i).min(keys);
            let lines = tiles[tile * depth * TILE + i * TILE_DEPTH..].as_mut_ptr();
            // SAFETY: `row` has `keys` values, `lines` a line of 32 in each of `depth` tiles.
            unsafe {
                let total = powers(row, seen, _mm512_set1_ps(maxima[i]), lines);
                let place = running.totals[first + i].as_mut_ptr();
                _mm512_storeu_ps(place, _mm512_add_ps(_mm512_loadu_ps(place), total));
            }
        }
    }
}

/// Multiplies values, sixteen at a time.
#[inline]
#[target_feature(enable = "avx512f")]
fn scale_by(values: &mut [f32], factor: f32) {
    for part in values.as_chunks_mut::<16>().0 {
        for value in part {
            *value *= factor;
        }
    }
}

/// The lowest lanes of 16 that are among the first `seen` from `first` on.
fn lanes(seen: usize, first: usize) -> u16 {
    match seen.saturating_sub(first) {
        0 => 0,
        count => u16::MAX >> (16 - count.min(16)),
    }
}

/// The largest of the first `seen` values, in sixteen parts.
///
/// # Safety
/// `values` must have `seen` values; the processor must have AVX512F.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn max(values: &[f32], seen: usize) -> __m512 {
    let lowest = _mm512_set1_ps(f32::NEG_INFINITY);
    let mut largest = [lowest; 4];
    let whole = seen / 64 * 64;
    for group in (0..whole).step_by(64) {
        for (i, largest) in largest.iter_mut().enumerate() {
            // SAFETY: as the caller promises.
            let value = unsafe { _mm512_loadu_ps(values.as_ptr().add(group + 16 * i)) };
            *largest = _mm512_max_ps(*largest, value);
        }
    }
    for first in (whole..seen).step_by(16) {
        // SAFETY: lanes beyond the values are not read.
        let value = unsafe {
            let from = values.as_ptr().add(first);
            _mm512_mask_loadu_ps(lowest, lanes(seen, first), from)
        };
        largest[0] = _mm512_max_ps(largest[0], value);
    }
    let [a, b, c, d] = largest;
    _mm512_max_ps(_mm512_max_ps(a, b), _mm512_max_ps(c, d))
}

/// Writes 2^(x - maximum) for the first `seen` values x and zeros for the others, to lines of 32 that are a tile apart;
/// returns their sum in sixteen parts.
///
/// # Safety
/// `values` must be whole lines, `to` be followed by as many tiles; the processor must have AVX512F and AVX512_BF16.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512bf16")]
unsafe fn powers(values: &[f32], seen: usize, maximum: __m512, to: *mut u16) -> __m512 {
    let mut totals = [_mm512_setzero_ps(); 2];
    for (tile, line) in values.as_chunks::<TILE_DEPTH>().0.iter().enumerate() {
        let first = tile * TILE_DEPTH;
        // SAFETY: a line has 32 values; as many lines as tiles.
        unsafe {
            let low = _mm512_loadu_ps(line.as_ptr());
            let high = _mm512_loadu_ps(line.as_ptr().add(16));
            let mut low = exp2(_mm512_sub_ps(low, maximum));
            let mut high = exp2(_mm512_sub_ps(high, maximum));
            if first + TILE_DEPTH > seen {
                low = _mm512_maskz_mov_ps(lanes(seen, first), low);
                high = _mm512_maskz_mov_ps(lanes(seen, first + 16), high);
            }
            totals = [
                _mm512_add_ps(totals[0], low),
                _mm512_add_ps(totals[1], high),
            ];
            let line = _mm512_cvtne2ps_pbh(high, low);
            let line = std::mem::transmute::<__m512bh, __m512i>(line);
            _mm512_storeu_si512(to.add(tile * TILE).cast(), line);
        }
    }
    _mm512_add_ps(totals[0], totals[1])
}

/// The polynomial of degree 3 whose largest relative error from 2^x on [0, 1] is smallest, 7.5e-5: a twentieth of what
/// rounding to bf16 adds. The coefficient of x^3, then those below.
const COEFFICIENTS: [f32; 4] = [7.802_452e-2, 2.260_671_8e-1, 6.958_335e-1, 9.999_252e-1];

/// 2^x for x <= 0 with a relative error below 8e-5; 0 for minus infinity.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn exp2(x: __m512) -> __m512 {
    const DOWN: i32 = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
    let fraction = _mm512_reduce_ps::<DOWN>(x);
    let [leading, others @ ..] = COEFFICIENTS;
    let mut power = _mm512_set1_ps(leading);
    for coefficient in others {
        power = _mm512_fmadd_ps(power, fraction, _mm512_set1_ps(coefficient));
    }
    // Takes the integer part of x by itself.
    _mm512_scalef_ps(power, x)
}
