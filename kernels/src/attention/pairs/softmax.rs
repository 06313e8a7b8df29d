//! From scores to weights.

use pulp::{Simd, WithSimd};

use super::super::exponential::exp2;

/// Turns a block of scores into weights relative to the running maximum, and rescales what was summed before.
pub(super) struct Weights<'a> {
    /// `[queries, keys]`
    pub(super) scores: &'a mut [f32],
    pub(super) keys: usize,
    pub(super) scale: f32,
    /// Keys of the block that the first query sees, one more for each later one; all if nothing.
    pub(super) visible: Option<isize>,
    pub(super) maxima: &'a mut [f32],
    pub(super) totals: &'a mut [f32],
    pub(super) sums: &'a mut [f32],
    pub(super) width: usize,
}

impl WithSimd for Weights<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let rows = self.scores.chunks_exact_mut(self.keys);
        let running = self.maxima.iter_mut().zip(self.totals.iter_mut());
        let sums = self.sums.chunks_exact_mut(self.width);
        for (i, ((row, (maximum, total)), sums)) in rows.zip(running).zip(sums).enumerate() {
            let seen = self.visible.map_or(self.keys, |first| {
                usize::try_from(first + i as isize)
                    .unwrap_or(0)
                    .min(self.keys)
            });
            let (seen, hidden) = row.split_at_mut(seen);
            hidden.fill(0.0);
            if seen.is_empty() {
                continue;
            }
            let previous = *maximum;
            *maximum = previous.max(max(simd, seen));
            let scale = self.scale;
            let shrink = ((previous - *maximum) * scale).exp2();
            *total = *total * shrink + power(simd, seen, scale, *maximum);
            if shrink != 1.0 {
                for sum in sums {
                    *sum *= shrink;
                }
            }
        }
    }
}

#[inline(always)]
fn max<S: Simd>(simd: S, values: &[f32]) -> f32 {
    let (vectors, rest) = S::as_simd_f32s(values);
    let mut largest = [simd.splat_f32s(f32::NEG_INFINITY); 4];
    let (groups, single) = vectors.as_chunks::<4>();
    for group in groups {
        for (largest, value) in largest.iter_mut().zip(group) {
            *largest = simd.max_f32s(*largest, *value);
        }
    }
    for value in single {
        largest[0] = simd.max_f32s(largest[0], *value);
    }
    let pairs = [
        simd.max_f32s(largest[0], largest[1]),
        simd.max_f32s(largest[2], largest[3]),
    ];
    let whole = simd.reduce_max_f32s(simd.max_f32s(pairs[0], pairs[1]));
    rest.iter().fold(whole, |a, b| a.max(*b))
}

/// Replaces every value x by 2^(scale (x - maximum)) and sums them up.
#[inline(always)]
fn power<S: Simd>(simd: S, values: &mut [f32], scale: f32, maximum: f32) -> f32 {
    let offset = -scale * maximum;
    let (vectors, rest) = S::as_mut_simd_f32s(values);
    let (scale, offset) = (simd.splat_f32s(scale), simd.splat_f32s(offset));
    let mut totals = [simd.splat_f32s(0.0); 2];
    let (pairs, single) = vectors.as_chunks_mut::<2>();
    for pair in pairs {
        for value in &mut *pair {
            *value = simd.mul_add_e_f32s(*value, scale, offset);
        }
        [*pair] = exp2(simd, [*pair]);
        for (value, total) in pair.iter().zip(&mut totals) {
            *total = simd.add_f32s(*total, *value);
        }
    }
    for value in single {
        [[*value]] = exp2(simd, [[simd.mul_add_e_f32s(*value, scale, offset)]]);
        totals[0] = simd.add_f32s(totals[0], *value);
    }
    let mut total = simd.reduce_sum_f32s(simd.add_f32s(totals[0], totals[1]));
    if !rest.is_empty() {
        let value = simd.mul_add_e_f32s(simd.partial_load_f32s(rest), scale, offset);
        let [[power]] = exp2(simd, [[value]]);
        simd.partial_store_f32s(rest, power);
        for value in rest {
            total += *value;
        }
    }
    total
}
