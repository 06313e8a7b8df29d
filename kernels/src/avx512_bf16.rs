//! Dot products of bf16 pairs by AVX-512.

use std::arch::x86_64::{__m512, __m512bh, __m512i};
use std::arch::x86_64::{
    _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_ps, _mm512_storeu_ps,
};

use crate::product::{SUMS, TILE};

/// Rows whose sums are in registers together with two vectors of columns.
const ROWS: usize = 8;

/// `sums [2 panels, 2 row tiles, 16, 16]` of two row tiles and two panels of as many tiles.
///
/// # Panics
/// If a slice has another length, or the processor lacks AVX512_BF16.
pub(crate) fn multiply(left: [&[u16]; 2], right: [&[u16]; 2], sums: &mut [f32]) {
    let len = left[0].len();
    assert!(len.is_multiple_of(TILE) && sums.len() == 4 * SUMS, "tiles");
    assert!(left[1].len() == len && right[0].len() == len && right[1].len() == len);
    assert!(
        std::arch::is_x86_feature_detected!("avx512bf16")
            && std::arch::is_x86_feature_detected!("avx512f")
    );
    let right = right.map(<[u16]>::as_ptr);
    for (i, left) in left.iter().enumerate() {
        for from in [0, ROWS] {
            let place = i * SUMS + from * 16;
            // SAFETY: the features were detected; every tile of `left` and `right` has `TILE` values, from
            // row `from` on 8 more rows of 32 remain in a tile; the sums end below 2 * SUMS and 4 * SUMS.
            unsafe {
                rows(
                    left.as_ptr().add(from * 32),
                    right,
                    len / TILE,
                    [
                        sums.as_mut_ptr().add(place),
                        sums.as_mut_ptr().add(2 * SUMS + place),
                    ],
                );
            }
        }
    }
}

/// Eight rows times two panels of 16 columns.
///
/// # Safety
/// `left` must be followed by 8 rows of 32 values in each of `tiles` tiles, `right` by as many tiles,
/// `sums` by 8 rows of 16 values each; the processor must have AVX512F and AVX512_BF16.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn rows(left: *const u16, right: [*const u16; 2], tiles: usize, sums: [*mut f32; 2]) {
    let mut registers: [[__m512; 2]; ROWS] = [[_mm512_setzero_ps(); 2]; ROWS];
    for tile in 0..tiles {
        for pair in 0..16 {
            // SAFETY: as the caller promises.
            unsafe {
                let columns = right.map(|right| {
                    let at = right.add(tile * TILE + pair * 32);
                    std::mem::transmute::<__m512i, __m512bh>(_mm512_loadu_si512(at.cast()))
                });
                for (i, registers) in registers.iter_mut().enumerate() {
                    let at = left.add(tile * TILE + i * 32 + pair * 2).cast::<i32>();
                    let value = _mm512_set1_epi32(at.read_unaligned());
                    let value = std::mem::transmute::<__m512i, __m512bh>(value);
                    for (sum, column) in registers.iter_mut().zip(columns) {
                        *sum = _mm512_dpbf16_ps(*sum, value, column);
                    }
                }
            }
        }
    }
    for (i, registers) in registers.into_iter().enumerate() {
        for (sum, to) in registers.into_iter().zip(sums) {
            // SAFETY: as the caller promises.
            unsafe { _mm512_storeu_ps(to.add(i * 16), sum) };
        }
    }
}
