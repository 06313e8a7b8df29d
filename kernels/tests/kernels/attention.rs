use half::bf16;
use promptfed_kernels::attention::{Attention, Heads, Mask, Sequences};
use promptfed_kernels::{Precision, Values};
use proptest::prelude::*;

use crate::support::{PRECISIONS, all, assert_close, config, narrow, of_means, values, widen};

/// Attention of dense `[batch, tokens, d]` in f64.
fn reference(
    query: &[f32],
    key: &[f32],
    value: &[f32],
    tokens: [usize; 2],
    heads: Heads,
    mask: Mask,
) -> Vec<f64> {
    let d = heads.count * heads.width;
    let [m, n] = tokens;
    let mut output = vec![0f64; query.len()];
    for (row, output) in output.chunks_exact_mut(d).enumerate() {
        let (sequence, position) = (row / m, row % m);
        for head in 0..heads.count {
            let columns = head * heads.width..(head + 1) * heads.width;
            let q = &query[row * d..][columns.clone()];
            let seen = match mask {
                Mask::None => n,
                Mask::Causal => (position + 1).min(n),
            };
            let scores: Vec<f64> = (0..seen)
                .map(|j| {
                    let k = &key[(sequence * n + j) * d..][columns.clone()];
                    let dot: f64 = q
                        .iter()
                        .zip(k)
                        .map(|(a, b)| f64::from(*a) * f64::from(*b))
                        .sum();
                    dot / (heads.width as f64).sqrt()
                })
                .collect();
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|s| (s - largest).exp()).collect();
            let total: f64 = weights.iter().sum();
            for (j, weight) in weights.iter().enumerate() {
                let v = &value[(sequence * n + j) * d..][columns.clone()];
                for (o, v) in output[columns.clone()].iter_mut().zip(v) {
                    *o += weight / total * f64::from(*v);
                }
            }
        }
    }
    output
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn attention_agrees_with_f64(
        batch in 1usize..4, m in 1usize..130, n in prop_oneof![1usize..130, 700usize..1600], count in 1usize..4,
        width in 1usize..50, causal: bool, sharp: bool, seed: u64
    ) {
        let n = if causal { m } else { n };
        let mask = if causal { Mask::Causal } else { Mask::None };
        let heads = Heads { count, width };
        let d = count * width;
        let factor = if sharp { 8.0 } else { 1.0 };
        let query: Vec<f32> = values(seed, batch * m * d).iter().map(|v| v * factor).collect();
        let key = values(seed ^ 1, batch * n * d);
        let value = values(seed ^ 2, batch * n * d);
        let expected = reference(&query, &key, &value, [m, n], heads, mask);
        for kernels in all() {
            for (precision, tolerance) in PRECISIONS {
                let mut output = vec![f32::NAN; query.len()];
                let attention = Attention {
                    query: Sequences::dense(Values::F32(&query), m, d),
                    key: Sequences::dense(Values::F32(&key), n, d),
                    value: Sequences::dense(Values::F32(&value), n, d),
                    heads,
                    mask,
                    precision,
                };
                kernels.attention(attention, &mut output);
                // bf16 scores of sharp distributions err by more than their rounding: by e to its power.
                let tolerance = if sharp && precision == Precision::Bf16 { 5e-2 } else { tolerance };
                let tolerance = of_means((precision, tolerance), n, &expected);
                assert_close(&output, &expected, tolerance, &format!("{kernels:?} {precision:?} {batch} {m} {n} {heads:?} {mask:?}"));
            }
        }
    }

    /// bf16 sequences are read as if they were f32, and bf16 results are the f32 ones rounded.
    #[test]
    fn bf16_sequences_and_results_are_those_of_f32_rounded(
        m in 1usize..70, n in 1usize..300, width in 1usize..50, seed: u64
    ) {
        let heads = Heads { count: 2, width };
        let d = 2 * width;
        let short = [m, n, n].map(|tokens| narrow(&values(seed ^ tokens as u64, 2 * tokens * d)));
        let wide = short.each_ref().map(|v| widen(v));
        for kernels in all() {
            for (precision, _) in PRECISIONS {
                let run = |[query, key, value]: [Values<'_>; 3]| {
                    let attention = Attention {
                        query: Sequences::dense(query, m, d),
                        key: Sequences::dense(key, n, d),
                        value: Sequences::dense(value, n, d),
                        heads,
                        mask: Mask::None,
                        precision,
                    };
                    let mut wide = vec![f32::NAN; 2 * m * d];
                    kernels.attention(attention, &mut wide);
                    let mut short = vec![bf16::NAN; 2 * m * d];
                    kernels.attention(attention, &mut short);
                    (wide, short)
                };
                let (expected, rounded) = run(wide.each_ref().map(|v| Values::F32(v)));
                prop_assert_eq!(narrow(&expected), &rounded[..]);
                let all_short = short.each_ref().map(|v| Values::Bf16(v));
                let mixed = [Values::F32(&wide[0]), all_short[1], all_short[2]];
                prop_assert!(run(all_short) == (expected.clone(), rounded.clone()), "{kernels:?} {precision:?}");
                prop_assert!(run(mixed) == (expected, rounded), "{kernels:?} {precision:?}");
            }
        }
    }
}

#[test]
fn one_projection_holds_queries_keys_and_values() {
    let (batch, tokens, heads) = (3, 11, Heads { count: 2, width: 8 });
    let d = 16;
    let qkv = values(5, batch * tokens * 3 * d);
    let part = |i: usize| -> Vec<f32> {
        qkv.chunks_exact(3 * d)
            .flat_map(|row| row[i * d..(i + 1) * d].to_vec())
            .collect()
    };
    let [q, k, v] = [part(0), part(1), part(2)];
    for kernels in all() {
        let run = |[query, key, value]: [Sequences<Values<'_>>; 3]| {
            let mut output = vec![0.0; batch * tokens * d];
            let attention = Attention {
                query,
                key,
                value,
                heads,
                mask: Mask::None,
                precision: Precision::F32,
            };
            kernels.attention(attention, &mut output);
            output
        };
        let joined = [0, 1, 2].map(|i| Sequences {
            values: Values::F32(&qkv),
            tokens,
            step: 3 * d,
            start: i * d,
        });
        let split = [&q, &k, &v].map(|part| Sequences::dense(Values::F32(part), tokens, d));
        assert!(run(joined) == run(split), "{kernels:?}");
    }
}

#[test]
fn large_scores_do_not_overflow_and_nan_is_not_hidden() {
    let heads = Heads {
        count: 1,
        width: 16,
    };
    let key = values(2, 900 * 16);
    let precisions = [Precision::F32, Precision::Bf16];
    let cases = all()
        .into_iter()
        .flat_map(|kernels| precisions.map(|precision| (kernels, precision)));
    for (kernels, precision) in cases {
        let run = |query: &[f32]| {
            let mut output = vec![0.0; query.len()];
            let keys = Sequences::dense(Values::F32(&key), 900, 16);
            let attention = Attention {
                query: Sequences::dense(Values::F32(query), 9, 16),
                key: keys,
                value: keys,
                heads,
                mask: Mask::None,
                precision,
            };
            kernels.attention(attention, &mut output);
            output
        };
        let mut query: Vec<f32> = values(1, 9 * 16).iter().map(|v| v * 1e10).collect();
        assert!(run(&query).iter().all(|v| v.is_finite()), "{kernels:?}");
        query[3 * 16 + 5] = f32::NAN;
        let output = run(&query);
        assert!(
            output[3 * 16..4 * 16].iter().all(|v| v.is_nan()),
            "{kernels:?}"
        );
        assert!(
            output[..3 * 16].iter().all(|v| v.is_finite()),
            "{kernels:?}"
        );
    }
}
