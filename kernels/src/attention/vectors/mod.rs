//! Attention in f32 by vectors: each lane has a query, so that maxima, sums and products run over keys without ever
//! crossing lanes.

mod memory;
mod softmax;
mod task;
mod tiling;

use rayon::prelude::*;

use super::Attention;
use crate::product::Round;
use crate::{Kernels, Precision};

use memory::Memory;
use task::{Buffers, Task};
use tiling::TilingOf;

/// Panels of queries that share a pass over the keys.
const PANELS: usize = 2;

/// `output` of `attention`, whose slices have been checked.
pub(super) fn run(kernels: Kernels, attention: &Attention<&[f32]>, output: &mut [f32]) {
    let set = kernels.instruction_set();
    let d = attention.row_len();
    let queries = attention.query.tokens;
    let tiling = set.run(TilingOf {
        queries,
        width: attention.heads.width,
    });
    let rows = PANELS * tiling.vectors * tiling.lanes;
    let sequences = output.par_chunks_mut(queries * d).enumerate();
    sequences.for_each(|(sequence, output)| {
        let heads = (0..attention.heads.count).into_par_iter();
        let memory: Vec<Memory> = heads
            .map(|head| {
                let mut memory = Memory::new(tiling, attention, sequence, head);
                if attention.precision == Precision::Bf16 {
                    set.run(Round(&mut memory.keys));
                    set.run(Round(&mut memory.values));
                }
                memory
            })
            .collect();
        let tasks = output.par_chunks_mut(rows * d).enumerate();
        tasks.for_each_init(Buffers::default, |buffers, (task, output)| {
            set.run(Task {
                tiling,
                attention,
                memory: &memory,
                sequence,
                first: task * rows,
                buffers,
                output,
            });
        });
    });
}
