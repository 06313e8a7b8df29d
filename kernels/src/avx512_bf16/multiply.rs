//! Dot products of bf16 pairs.

use std::arch::x86_64::{__m512, __m512bh, __m512i};
use std::arch::x86_64::{
    _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_ps,
    _mm512_storeu_ps,
};

use super::Vectors;
use crate::product::{BLOCK_ROWS, Block};

/// Rows whose sums are in registers together with two vectors of columns.
const ROWS: usize = 8;

/// Pairs of rows in a panel's tile.
const PAIRS: usize = 16;

impl Vectors {
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
