//! One product on one thread, by the instructions its right operand was packed for.

use std::ops::Range;

use half::bf16;

use super::epilogue::{Epilogue, Target};
use super::packed::{PackedMatrix, Panels};
use super::rounded::Rounded;
use super::rows::Rows;
use super::shared::Output;
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

/// A left operand.
#[derive(Clone, Copy)]
pub(crate) enum Operand<'a> {
    Plain(&'a Rows<'a>),
    Bf16(&'a Rows<'a, bf16>),
}

/// What a left operand is multiplied by, and where to.
pub(crate) struct Product<'a> {
    pub(crate) weights: &'a PackedMatrix,
    /// Of [`PackedMatrix::panels`].
    pub(crate) panels: Range<usize>,
    /// The rows are those that the scratch's last product had.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "rows are kept for pairs alone")
    )]
    pub(crate) same_rows: bool,
    pub(crate) output: Output<'a>,
    pub(crate) target: Target,
    pub(crate) epilogue: Epilogue<'a>,
}

impl Product<'_> {
    /// `output[target(row)] = epilogue(rows(row) * weights)`.
    ///
    /// # Panics
    /// If the rows do not fit the weights, or reach beyond their image or the output.
    ///
    /// # Safety
    /// Nothing else may read or write the columns of the panels in the target rows meanwhile; nor any of the output, if
    /// the weights do not [read bf16](PackedMatrix::reads_bf16).
    pub(crate) unsafe fn run(&self, rows: Operand<'_>, scratch: &mut Scratch) {
        let weights = self.weights;
        let shape = match rows {
            Operand::Plain(rows) => rows.prepare(weights.segments, &mut scratch.offsets),
            Operand::Bf16(rows) => rows.prepare(weights.segments, &mut scratch.offsets),
        };
        self.target.offsets(shape, &mut scratch.targets);
        if scratch.offsets.is_empty() {
            return;
        }
        match (&weights.panels, rows) {
            (Panels::F32 { .. } | Panels::Bf16 { .. }, rows) => {
                assert_eq!(self.panels, 0..weights.panels(), "all columns");
                let rounded = &mut scratch.rounded;
                let rows = match (&weights.panels, rows) {
                    (Panels::Bf16 { .. }, Operand::Plain(rows)) => {
                        rows.with(rounded.of(weights.set, rows.values))
                    }
                    (_, Operand::Plain(rows)) => *rows,
                    (_, Operand::Bf16(rows)) => rows.with(rounded.widened(rows.values)),
                };
                weights.set.run(VectorProduct {
                    rows: &rows,
                    offsets: &scratch.offsets,
                    panels: &weights.panels,
                    columns: weights.columns,
                    targets: &scratch.targets,
                    epilogue: self.epilogue,
                    // SAFETY: as the caller promises: a product of all columns has its output alone.
                    output: unsafe { self.output.values() },
                    scratch: &mut scratch.vectors,
                });
            }
            #[cfg(target_arch = "x86_64")]
            (Panels::Bf16Pairs { values }, rows) => {
                let product = super::pairs::PairProduct {
                    set: weights.set,
                    offsets: &scratch.offsets,
                    values,
                    columns: weights.columns,
                    panels: self.panels.clone(),
                    same_rows: self.same_rows,
                    target: self.target,
                    targets: &scratch.targets,
                    epilogue: self.epilogue,
                    output: self.output,
                };
                // SAFETY: as the caller promises.
                unsafe {
                    match rows {
                        Operand::Plain(rows) => product.run(rows, &mut scratch.pairs),
                        Operand::Bf16(rows) => product.run_bf16(rows, &mut scratch.pairs),
                    }
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            (Panels::Bf16Pairs { .. }, _) => unreachable!("pairs are packed on x86-64 only"),
        }
    }
}
