//! By vectors of whatever length, a tile of sums in registers.

use pulp::{Simd, WithSimd};

use super::super::rows::Rows;
use super::Columns;
use crate::aligned::Aligned;

/// Rows over which a tile of sums stays in registers: their panel fits into a first-level cache.
const BLOCK: usize = 256;

/// `sums[k, column] += sum over rows of rows(row)[k] * right[row, column]`.
pub(super) struct TransposedProduct<'a> {
    pub(super) rows: &'a Rows<'a>,
    /// From [`Rows::offsets`] of `rows`.
    pub(super) offsets: &'a [usize],
    pub(super) right: Columns<&'a [f32]>,
    /// `[segments * segment_len, right.count]`
    pub(super) sums: &'a mut [f32],
    pub(super) panels: &'a mut Aligned<f32>,
}

impl WithSimd for TransposedProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let needed = self.right.count.div_ceil(S::F32_LANES);
        let vectors = if needed == 1 {
            1
        } else if needed.next_multiple_of(2) <= needed.next_multiple_of(3) {
            2
        } else {
            3
        };
        if S::REGISTER_COUNT >= 32 {
            match vectors {
                1 => self.run::<S, 1, 16>(simd),
                2 => self.run::<S, 2, 12>(simd),
                _ => self.run::<S, 3, 8>(simd),
            }
        } else {
            match vectors {
                1 => self.run::<S, 1, 8>(simd),
                2 => self.run::<S, 2, 6>(simd),
                _ => self.run::<S, 3, 3>(simd),
            }
        }
    }
}

impl TransposedProduct<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const R: usize>(mut self, simd: S) {
        let width = V * S::F32_LANES;
        let panels = self.right.count.div_ceil(width);
        self.panels.resize(panels * BLOCK * width);
        let blocks = self.offsets.chunks(BLOCK);
        let stride = self.right.stride;
        for (offsets, right) in blocks.zip(self.right.values.chunks(BLOCK * stride)) {
            for (panel, to) in self.panels.chunks_exact_mut(BLOCK * width).enumerate() {
                let first = panel * width;
                let valid = (self.right.count - first).min(width);
                let lines = to.chunks_exact_mut(width);
                for (to, from) in lines.zip(right.chunks_exact(stride)) {
                    let from = &from[self.right.first + first..][..valid];
                    to[..valid].copy_from_slice(from);
                    to[valid..].fill(0.0);
                }
            }
            for panel in 0..panels {
                self.panel::<S, V, R>(simd, offsets, panel);
            }
        }
    }

    #[inline(always)]
    fn panel<S: Simd, const V: usize, const R: usize>(
        &mut self,
        simd: S,
        offsets: &[usize],
        panel: usize,
    ) {
        let len = self.rows.segment_len;
        for segment in 0..self.rows.segments {
            let mut done = 0;
            while done + R <= len {
                self.tile::<S, V, R>(simd, offsets, panel, segment, done);
                done += R;
            }
            while done < len {
                self.tile::<S, V, 1>(simd, offsets, panel, segment, done);
                done += 1;
            }
        }
    }

    /// Adds the sums of values `first..first + R` of a segment, for one panel of columns.
    #[inline(always)]
    fn tile<S: Simd, const V: usize, const R: usize>(
        &mut self,
        simd: S,
        offsets: &[usize],
        panel: usize,
        segment: usize,
        first: usize,
    ) {
        let width = V * S::F32_LANES;
        let right = &self.panels[panel * BLOCK * width..][..offsets.len() * width];
        let start = segment * self.rows.segment_step + first;
        debug_assert!(first + R <= self.rows.segment_len);
        let values = self.rows.values;
        let mut registers = [[simd.splat_f32s(0.0); V]; R];
        let mut weights = right.as_ptr();
        for offset in offsets {
            // SAFETY: `Rows::offsets` has checked that the run of every row lies inside the
            // values, and `right` holds a line of V vectors for each offset.
            unsafe {
                let left = values.as_ptr().add(offset + start);
                let row: [S::f32s; V] = std::array::from_fn(|j| {
                    weights
                        .add(j * S::F32_LANES)
                        .cast::<S::f32s>()
                        .read_unaligned()
                });
                for (i, sums) in registers.iter_mut().enumerate() {
                    let value = simd.splat_f32s(*left.add(i));
                    for j in 0..V {
                        sums[j] = simd.mul_add_e_f32s(value, row[j], sums[j]);
                    }
                }
                weights = weights.add(width);
            }
        }
        let column = panel * width;
        let valid = (self.right.count - column).min(width);
        for (i, sums) in registers.iter().enumerate() {
            let row = segment * self.rows.segment_len + first + i;
            let to = &mut self.sums[row * self.right.count + column..][..valid];
            add(simd, sums, to);
        }
    }
}

#[inline(always)]
fn add<S: Simd, const V: usize>(simd: S, values: &[S::f32s; V], to: &mut [f32]) {
    let (whole, rest) = S::as_mut_simd_f32s(to);
    for (to, value) in whole.iter_mut().zip(values) {
        *to = simd.add_f32s(*to, *value);
    }
    if let Some(value) = values.get(whole.len())
        && !rest.is_empty()
    {
        let sum = simd.add_f32s(simd.partial_load_f32s(rest), *value);
        simd.partial_store_f32s(rest, sum);
    }
}
