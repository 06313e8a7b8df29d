//! From scores to weights.

use pulp::Simd;

use crate::exponential::exp2;

/// Rows of scores whose powers are computed side by side.
const ROWS: usize = 2;

/// Turns scores into weights relative to the running maxima, moves maxima and totals, and returns the factors of what
/// was summed before.
#[inline(always)]
pub(super) fn weigh<S: Simd, const V: usize>(
    simd: S,
    scores: &mut [[S::f32s; V]],
    maxima: &mut [S::f32s; V],
    totals: &mut [S::f32s; V],
) -> [S::f32s; V] {
    let mut largest = *maxima;
    for row in &*scores {
        for j in 0..V {
            largest[j] = simd.max_f32s(largest[j], row[j]);
        }
    }
    let mut shrink = *maxima;
    let mut sums = *totals;
    for j in 0..V {
        shrink[j] = simd.sub_f32s(maxima[j], largest[j]);
    }
    let [shrink] = exp2(simd, [shrink]);
    for j in 0..V {
        sums[j] = simd.mul_f32s(totals[j], shrink[j]);
    }
    let (groups, single) = scores.as_chunks_mut::<ROWS>();
    for rows in groups {
        *rows = powers(simd, *rows, &largest, &mut sums);
    }
    for row in single {
        [*row] = powers(simd, [*row], &largest, &mut sums);
    }
    *maxima = largest;
    *totals = sums;
    shrink
}

/// The weights of some rows of scores, added to `sums`.
#[inline(always)]
fn powers<S: Simd, const V: usize, const N: usize>(
    simd: S,
    mut rows: [[S::f32s; V]; N],
    largest: &[S::f32s; V],
    sums: &mut [S::f32s; V],
) -> [[S::f32s; V]; N] {
    for row in &mut rows {
        for j in 0..V {
            row[j] = simd.sub_f32s(row[j], largest[j]);
        }
    }
    let rows = exp2(simd, rows);
    for row in &rows {
        for j in 0..V {
            sums[j] = simd.add_f32s(sums[j], row[j]);
        }
    }
    rows
}
