//! f32 products by vectors of whatever length, a tile of sums in registers.

use pulp::{Simd, WithSimd};

use super::epilogue::{Epilogue, Tile, complete, put};
use super::packed::{Panels, Segments};
use super::rows::Rows;
use crate::aligned::Aligned;
use crate::{Values, ValuesMut, bf16};

/// Rows of a panel that are used before the next ones: the sums of a tile are read and
/// written once per block, and a panel's block stays in the second-level cache.
const BLOCK: usize = 384;

/// Memory for sums and widened weights.
#[derive(Default)]
pub(crate) struct VectorScratch {
    sums: Aligned<f32>,
    widened: Aligned<f32>,
}

/// The product of `rows` and `panels` into `output`.
pub(crate) struct VectorProduct<'a> {
    pub(crate) rows: &'a Rows<'a>,
    /// From [`Rows::offsets`] of `rows`.
    pub(crate) offsets: &'a [usize],
    pub(crate) panels: &'a Panels,
    pub(crate) columns: usize,
    pub(crate) targets: &'a [usize],
    pub(crate) epilogue: Epilogue<'a>,
    pub(crate) output: ValuesMut<'a>,
    pub(crate) scratch: &'a mut VectorScratch,
}

impl WithSimd for VectorProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (Panels::F32 { vectors, .. } | Panels::Bf16 { vectors, .. }) = *self.panels else {
            unreachable!("pairs are for bf16 instructions");
        };
        if S::REGISTER_COUNT >= 32 {
            match vectors {
                1 => self.run::<S, 1, 16>(simd),
                2 => self.run::<S, 2, 12>(simd),
                3 => self.run::<S, 3, 8>(simd),
                _ => self.run::<S, 5, 4>(simd),
            }
        } else {
            match vectors {
                1 => self.run::<S, 1, 8>(simd),
                2 => self.run::<S, 2, 6>(simd),
                3 => self.run::<S, 3, 3>(simd),
                _ => self.run::<S, 5, 2>(simd),
            }
        }
    }
}

/// Consecutive rows of a panel: whole segments, or a part of one.
#[derive(Clone, Copy)]
struct Block {
    segment: usize,
    segments: usize,
    from: usize,
    len: usize,
}

/// Cuts the depth of a product into blocks of about [`BLOCK`] rows.
fn blocks(segments: Segments) -> Vec<Block> {
    let Segments { count, len } = segments;
    if len <= BLOCK {
        let per_block = BLOCK / len;
        return (0..count)
            .step_by(per_block)
            .map(|segment| Block {
                segment,
                segments: per_block.min(count - segment),
                from: 0,
                len,
            })
            .collect();
    }
    let part = len.div_ceil(len.div_ceil(BLOCK));
    (0..count)
        .flat_map(|segment| {
            (0..len).step_by(part).map(move |from| Block {
                segment,
                segments: 1,
                from,
                len: part.min(len - from),
            })
        })
        .collect()
}

impl VectorProduct<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const R: usize>(mut self, simd: S) {
        let width = V * S::F32_LANES;
        let segments = Segments {
            count: self.rows.segments,
            len: self.rows.segment_len,
        };
        let depth = segments.count * segments.len;
        let blocks = blocks(segments);
        let tiles = self.offsets.len().div_ceil(R);
        self.scratch.sums.resize(tiles * R * width);
        for panel in 0..self.columns.div_ceil(width) {
            let column = panel * width;
            let columns = (self.columns - column).min(width);
            let direct = columns == width && self.epilogue.keeps_no_sums();
            for (number, block) in blocks.iter().enumerate() {
                let first_row = block.segment * segments.len + block.from;
                let range = (panel * depth + first_row) * width
                    ..(panel * depth + first_row + block.segments * block.len) * width;
                let weights: &[f32] = match self.panels {
                    Panels::F32 { values, .. } => &values[range],
                    Panels::Bf16 { values, .. } => {
                        let values = &values[range];
                        self.scratch.widened.resize(values.len());
                        for (to, from) in self.scratch.widened.iter_mut().zip(values) {
                            *to = bf16::to_f32(*from);
                        }
                        &self.scratch.widened
                    }
                    Panels::Bf16Pairs { .. } => unreachable!("checked by the caller"),
                };
                let start = block.segment * self.rows.segment_step + block.from;
                let last_block = number + 1 == blocks.len();
                let groups = self.offsets.chunks(R).zip(self.targets.chunks(R));
                let sums = self.scratch.sums.chunks_exact_mut(R * width);
                for ((offsets, targets), sums) in groups.zip(sums) {
                    let last = offsets[offsets.len() - 1];
                    // Rows beyond the last repeat it and are not stored.
                    let left: [*const f32; R] = std::array::from_fn(|i| {
                        let offset = offsets.get(i).copied().unwrap_or(last);
                        self.rows.values[offset + start..].as_ptr()
                    });
                    let vectors = S::as_mut_simd_f32s(sums).0.as_chunks_mut::<V>().0;
                    let mut registers = [[simd.splat_f32s(0.0); V]; R];
                    if number > 0 {
                        registers.copy_from_slice(vectors);
                    }
                    // SAFETY: `Rows::offsets` has checked that every run of every row lies inside
                    // the values, and `weights` holds `segments * len` rows of V vectors by its range.
                    let registers = unsafe {
                        tile::<S, V, R>(
                            simd,
                            left,
                            block,
                            self.rows.segment_step,
                            weights.as_ptr(),
                            registers,
                        )
                    };
                    if !last_block {
                        vectors.copy_from_slice(&registers);
                        continue;
                    }
                    if let (true, ValuesMut::F32(output)) = (direct, &mut self.output) {
                        let rows = registers.iter().zip(targets);
                        for (row, target) in rows {
                            let range = target + column..target + column + width;
                            let to = &mut output[range.clone()];
                            store(simd, row, column, range, &self.epilogue, to);
                        }
                        continue;
                    }
                    vectors.copy_from_slice(&registers);
                    let mut tile = Tile {
                        sums: &mut sums[..targets.len() * width],
                        stride: width,
                        column,
                        columns,
                    };
                    tile.activate(simd, &self.epilogue);
                    for (i, target) in targets.iter().enumerate() {
                        let range = tile.range(*target);
                        let residual = self.epilogue.residual.map(|all| all.range(range.clone()));
                        let gate = self.epilogue.gate.map(|gate| {
                            &gate.line(*target, self.columns)[column..column + columns]
                        });
                        let row = &mut tile.sums[i * width..][..columns];
                        complete(simd, row, gate, residual);
                        let to = match &mut self.output {
                            ValuesMut::F32(output) => ValuesMut::F32(&mut output[range]),
                            ValuesMut::Bf16(output) => ValuesMut::Bf16(&mut output[range]),
                        };
                        put(row, to);
                    }
                }
            }
        }
    }
}

/// Finishes a row in registers; only for epilogues that [keep no sums](Epilogue::keeps_no_sums).
#[inline(always)]
fn store<S: Simd, const V: usize>(
    simd: S,
    sums: &[S::f32s; V],
    column: usize,
    range: std::ops::Range<usize>,
    epilogue: &Epilogue<'_>,
    to: &mut [f32],
) {
    let mut sums = *sums;
    if let Some(bias) = epilogue.bias {
        let bias = S::as_simd_f32s(&bias[column..column + to.len()]).0;
        for (sum, bias) in sums.iter_mut().zip(bias) {
            *sum = simd.add_f32s(*sum, *bias);
        }
    }
    if let Some(Values::F32(residual)) = epilogue.residual {
        let residual = S::as_simd_f32s(&residual[range]).0;
        for (sum, residual) in sums.iter_mut().zip(residual) {
            *sum = simd.add_f32s(*sum, *residual);
        }
    }
    let vectors = S::as_mut_simd_f32s(to).0;
    for (to, sum) in vectors.iter_mut().zip(sums) {
        *to = sum;
    }
    epilogue.activation.apply(to);
}

/// `sums` with a block's products added. By value: sums behind a reference would be written back to memory
/// at every step.
///
/// # Safety
/// Every pointer in `left` must be followed by the block's runs, `segment_step` apart, `weights` by as
/// many rows of `V` vectors as the runs have values.
#[inline(always)]
unsafe fn tile<S: Simd, const V: usize, const R: usize>(
    simd: S,
    left: [*const f32; R],
    block: &Block,
    segment_step: usize,
    weights: *const f32,
    mut sums: [[S::f32s; V]; R],
) -> [[S::f32s; V]; R] {
    let mut weights = weights;
    for segment in 0..block.segments {
        // SAFETY: as the caller promises.
        let runs = left.map(|run| unsafe { run.add(segment * segment_step) });
        for k in 0..block.len {
            // SAFETY: as the caller promises.
            unsafe {
                let row: [S::f32s; V] = std::array::from_fn(|j| {
                    let vector = weights.add(j * S::F32_LANES).cast::<S::f32s>();
                    vector.read_unaligned()
                });
                for i in 0..R {
                    let value = simd.splat_f32s(*runs[i].add(k));
                    for j in 0..V {
                        sums[i][j] = simd.mul_add_e_f32s(value, row[j], sums[i][j]);
                    }
                }
                weights = weights.add(V * S::F32_LANES);
            }
        }
    }
    sums
}
