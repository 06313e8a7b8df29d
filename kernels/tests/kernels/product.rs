use half::bf16;
use promptfed_kernels::{Epilogue, Gate, MatrixView, PackedMatrix, Precision, Values};
use proptest::prelude::*;

use crate::support::{
    ACTIVATIONS, PRECISIONS, all, assert_close, config, flushed, narrow, of_sums, rounded, values,
    widen, with_threads,
};

fn reference(left: &[f32], right: &[f32], depth: usize, columns: usize) -> Vec<f64> {
    let rows = left.chunks_exact(depth);
    rows.flat_map(|row| {
        (0..columns).map(move |column| {
            let pairs = row.iter().zip(right[column..].iter().step_by(columns));
            pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        })
    })
    .collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn products_agree_with_f64(rows in 0usize..200, depth in 1usize..900, columns in 1usize..100, seed: u64) {
        let left = values(seed, rows * depth);
        let right = values(seed ^ 1, depth * columns);
        let expected = reference(&left, &right, depth, columns);
        for kernels in all() {
            for (precision, tolerance) in PRECISIONS {
                let weights = PackedMatrix::new(kernels, MatrixView::row_major(&right, columns), precision);
                let mut output = vec![f32::NAN; rows * columns];
                kernels.multiply(&left, &weights, Epilogue::default(), &mut output);
                let what = format!("{kernels:?} {precision:?} {rows} x {depth} x {columns}");
                assert_close(&output, &expected, of_sums((precision, tolerance), depth, &expected), &what);
            }
        }
    }

    #[test]
    fn bf16_is_the_same_under_every_set(rows in 1usize..90, depth in 1usize..500, columns in 1usize..80, seed: u64) {
        let left = values(seed, rows * depth);
        let right = values(seed ^ 1, depth * columns);
        let expected = reference(&rounded(&left), &rounded(&right), depth, columns);
        for kernels in all() {
            let weights = PackedMatrix::new(kernels, MatrixView::row_major(&right, columns), Precision::Bf16);
            let mut output = vec![f32::NAN; rows * columns];
            kernels.multiply(&left, &weights, Epilogue::default(), &mut output);
            assert_close(&output, &expected, 1e-5, &format!("{kernels:?} {rows} x {depth} x {columns}"));
        }
    }

    #[test]
    fn epilogues_agree_with_f64(
        rows in 1usize..80, depth in 1usize..70, columns in 1usize..100, biased: bool, activation in 0..ACTIVATIONS.len(), gated: bool,
        with_residual: bool, per_gate in 1usize..40, seed: u64
    ) {
        let left = values(seed, rows * depth);
        let right = values(seed ^ 1, depth * columns);
        let bias = values(seed ^ 2, columns);
        let residual = values(seed ^ 3, rows * columns);
        let gate = values(seed ^ 5, rows.div_ceil(per_gate) * columns);
        let sums = reference(&left, &right, depth, columns);
        let (activation, formula) = ACTIVATIONS[activation];
        let expected: Vec<f64> = sums.iter().enumerate().map(|(i, sum)| {
            let (row, column) = (i / columns, i % columns);
            let mut value = formula(sum + if biased { f64::from(bias[column]) } else { 0.0 });
            if gated {
                value *= f64::from(gate[row / per_gate * columns + column]);
            }
            value + if with_residual { f64::from(residual[i]) } else { 0.0 }
        }).collect();
        for kernels in all() {
            for (precision, tolerance) in PRECISIONS {
                let weights = PackedMatrix::new(kernels, MatrixView::row_major(&right, columns), precision);
                let mut output = vec![f32::NAN; rows * columns];
                let epilogue = Epilogue {
                    bias: biased.then_some(&bias),
                    activation,
                    gate: gated.then(|| Gate::new(&gate, per_gate)),
                    residual: with_residual.then_some(Values::F32(&residual)),
                };
                kernels.multiply(&left, &weights, epilogue, &mut output);
                let tolerance = of_sums((precision, tolerance), depth, &expected);
                assert_close(&output, &expected, tolerance, &format!("{kernels:?} {precision:?} {epilogue:?}"));
            }
        }
    }

    /// bf16 on the left is read as if it were f32, and bf16 results are the f32 ones rounded.
    #[test]
    fn bf16_operands_and_results_are_those_of_f32_rounded(
        rows in 1usize..90, depth in prop_oneof![1usize..200, Just(32), Just(64)], columns in prop_oneof![1usize..100, Just(64)], biased: bool,
        activation in 0..ACTIVATIONS.len(), gated: bool, with_residual in 0usize..3, seed: u64
    ) {
        let left = values(seed, rows * depth);
        let (right, bias) = (values(seed ^ 1, depth * columns), values(seed ^ 2, columns));
        let (gate, residual) = (values(seed ^ 5, rows * columns), values(seed ^ 3, rows * columns));
        let (narrow_left, narrow_residual) = (narrow(&left), narrow(&residual));
        let wide_left = widen(&narrow_left);
        let wide_residual = widen(&narrow_residual);
        for kernels in all() {
            for (precision, _) in PRECISIONS {
                let weights = PackedMatrix::new(kernels, MatrixView::row_major(&right, columns), precision);
                let run = |left: Values<'_>, residual| {
                    let epilogue = Epilogue {
                        bias: biased.then_some(&bias),
                        activation: ACTIVATIONS[activation].0,
                        gate: gated.then(|| Gate::new(&gate, 1)),
                        residual,
                    };
                    let mut wide = vec![f32::NAN; rows * columns];
                    kernels.multiply(left, &weights, epilogue, &mut wide);
                    let mut short = vec![bf16::NAN; rows * columns];
                    kernels.multiply(left, &weights, epilogue, &mut short);
                    (wide, short)
                };
                let residuals = [None, Some(Values::F32(&wide_residual)), Some(Values::Bf16(&narrow_residual))];
                let (expected, short) = run(Values::F32(&wide_left), residuals[with_residual.min(1)]);
                prop_assert!(flushed(&short) == flushed(&narrow(&expected)), "{kernels:?} {precision:?}");
                let again = run(Values::Bf16(&narrow_left), residuals[with_residual]);
                prop_assert!(again == (expected, short), "{kernels:?} {precision:?}");
            }
        }
    }

    #[test]
    fn a_transposed_view_is_the_transpose(depth in 1usize..70, columns in 1usize..70, seed: u64) {
        let right = values(seed, depth * columns);
        let transposed: Vec<f32> = (0..columns * depth).map(|i| right[i % depth * columns + i / depth]).collect();
        let left = values(seed ^ 1, 7 * depth);
        for kernels in all() {
            for (precision, _) in PRECISIONS {
                let views = [MatrixView::row_major(&right, columns), MatrixView::transposed(&transposed, depth)];
                let [a, b] = views.map(|view| {
                    let mut output = vec![0.0; 7 * columns];
                    let weights = PackedMatrix::new(kernels, view, precision);
                    kernels.multiply(&left, &weights, Epilogue::default(), &mut output);
                    output
                });
                prop_assert_eq!(a, b);
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_the_others(rows in 2usize..300, depth in 1usize..300, columns in 1usize..80, seed: u64) {
        let left = values(seed, rows * depth);
        let right = values(seed ^ 1, depth * columns);
        let bias = values(seed ^ 2, columns);
        let epilogue = Epilogue {
            bias: Some(&bias),
            ..Epilogue::default()
        };
        for kernels in all() {
            for (precision, _) in PRECISIONS {
                let weights = PackedMatrix::new(kernels, MatrixView::row_major(&right, columns), precision);
                let run = |left: &[f32]| {
                    let mut output = vec![0.25; left.len() / depth * columns];
                    kernels.multiply(left, &weights, epilogue, &mut output);
                    output
                };
                let together = run(&left);
                for row in [0, rows / 2, rows - 1] {
                    let alone = run(&left[row * depth..(row + 1) * depth]);
                    prop_assert_eq!(&alone, &together[row * columns..(row + 1) * columns]);
                }
            }
        }
    }
}

/// Few rows and a weight larger than a second-level cache: tasks share the weight's columns, and which ones depends on the
/// number of threads.
#[test]
fn few_rows_of_a_large_weight_agree_with_f64() {
    let (depth, columns) = (1111, 1003);
    let right = values(2, depth * columns);
    let bias = values(4, columns);
    for rows in [0, 37, 300] {
        let left = values(1, rows * depth);
        let residual = values(3, rows * columns);
        let sums = reference(&left, &right, depth, columns);
        for plain in [true, false] {
            let epilogue = Epilogue {
                bias: Some(&bias),
                residual: (!plain).then_some(Values::F32(&residual)),
                ..Epilogue::default()
            };
            let exact = sums.iter().enumerate().map(|(i, sum)| {
                let residual = if plain { 0.0 } else { f64::from(residual[i]) };
                sum + f64::from(bias[i % columns]) + residual
            });
            let expected: Vec<f64> = exact.collect();
            for kernels in all() {
                for (precision, tolerance) in PRECISIONS {
                    let view = MatrixView::row_major(&right, columns);
                    let weights = PackedMatrix::new(kernels, view, precision);
                    let run = |threads| {
                        let mut output = vec![f32::NAN; rows * columns];
                        with_threads(threads, || {
                            kernels.multiply(&left, &weights, epilogue, &mut output);
                        });
                        output
                    };
                    let output = run(1);
                    let what = format!("{kernels:?} {precision:?}, {rows} rows");
                    assert_close(&output, &expected, tolerance, &what);
                    assert!(output == run(3), "{what}: threads matter");
                }
            }
        }
    }
}
