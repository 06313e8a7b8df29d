//! One product on one thread, by the instructions its right operand was packed for.

use super::epilogue::{Epilogue, Target};
use super::packed::{PackedMatrix, Panels};
use super::rounded::Rounded;
use super::rows::Rows;
use super::vectors::{VectorProduct, VectorScratch};

/// Memory that one thread keeps from product to product.
#[derive(Default)]
pub(crate) struct Scratch {
    offsets: Vec<usize>,
    targets: Vec<usize>,
    vectors: VectorScratch,
    rounded: Rounded,
    #[cfg(target_arch = "x86_64")]
    pairs: super::pairs::PairScratch,
}

/// `output[target(row)] = epilogue(rows(row) * weights)`.
///
/// # Panics
/// If the rows do not fit the weights, or reach beyond their image or the output.
pub(crate) fn product(
    rows: &Rows<'_>,
    weights: &PackedMatrix,
    output: &mut [f32],
    target: Target,
    epilogue: Epilogue<'_>,
    scratch: &mut Scratch,
) {
    assert_eq!(rows.segments, weights.segments.count, "segments");
    assert_eq!(rows.segment_len, weights.segments.len, "segment length");
    rows.offsets(&mut scratch.offsets);
    let shape = [rows.images, rows.lines, rows.pixels];
    target.offsets(shape, &mut scratch.targets);
    if scratch.offsets.is_empty() {
        return;
    }
    match &weights.panels {
        Panels::F32 { .. } | Panels::Bf16 { .. } => {
            let mut rows = *rows;
            if let Panels::Bf16 { .. } = weights.panels {
                rows.values = scratch.rounded.of(weights.set, rows.values);
            }
            weights.set.run(VectorProduct {
                rows: &rows,
                offsets: &scratch.offsets,
                panels: &weights.panels,
                columns: weights.columns,
                targets: &scratch.targets,
                epilogue,
                output,
                scratch: &mut scratch.vectors,
            });
        }
        #[cfg(target_arch = "x86_64")]
        Panels::Bf16Pairs { values } => super::pairs::product(
            super::pairs::PairProduct {
                set: weights.set,
                rows,
                offsets: &scratch.offsets,
                values,
                columns: weights.columns,
                targets: &scratch.targets,
                epilogue,
                output,
            },
            &mut scratch.pairs,
        ),
        #[cfg(not(target_arch = "x86_64"))]
        Panels::Bf16Pairs { .. } => unreachable!("pairs are packed on x86-64 only"),
    }
}
