//! Multi-head attention whose matrix of scores is never whole in memory.
//!
//! Blocks of keys are visited one after the other with a running maximum and sum (Milakov and Gimelshein
//! 2018, algorithm 3; Dao et al. 2022, algorithm 1).

#[cfg(target_arch = "x86_64")]
mod pairs;
mod vectors;

#[cfg(target_arch = "x86_64")]
use crate::product::Output;
use crate::values::convert;
use crate::{Kernels, Precision, Values, ValuesMut, unspecified};

/// Rows of `heads * width` values inside a slice, those of one sequence after the other.
#[derive(Clone, Copy, Debug)]
pub struct Sequences<V> {
    /// The values.
    pub values: V,
    /// Rows per sequence.
    pub tokens: usize,
    /// From one row to the next.
    pub step: usize,
    /// Where the first row begins.
    pub start: usize,
}

impl<V> Sequences<V> {
    /// `[batch, tokens, d]` without gaps.
    pub fn dense(values: V, tokens: usize, d: usize) -> Self {
        Self {
            values,
            tokens,
            step: d,
            start: 0,
        }
    }

    /// The same rows of other values.
    fn with<U>(&self, values: U) -> Sequences<U> {
        Sequences {
            values,
            tokens: self.tokens,
            step: self.step,
            start: self.start,
        }
    }

    /// Where a row begins, counted over all sequences.
    fn row(&self, row: usize) -> usize {
        self.start + row * self.step
    }
}

/// Which keys a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// All.
    None,
    /// Those at its own position and before.
    Causal,
}

/// Heads and their width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// How many.
    pub count: usize,
    /// Values of one head.
    pub width: usize,
}

/// What attends to what.
#[derive(Clone, Copy, Debug)]
pub struct Attention<V> {
    /// One row for each row of the result.
    pub query: Sequences<V>,
    /// As many rows per sequence as `value`.
    pub key: Sequences<V>,
    /// The rows that are averaged.
    pub value: Sequences<V>,
    /// How the rows split.
    pub heads: Heads,
    /// What queries see.
    pub mask: Mask,
    /// What factors of products are rounded to; sums and powers are f32.
    pub precision: Precision,
}

impl<V> Attention<V> {
    /// The same attention of other values.
    fn with<U>(&self, [query, key, value]: [U; 3]) -> Attention<U> {
        Attention {
            query: self.query.with(query),
            key: self.key.with(key),
            value: self.value.with(value),
            heads: self.heads,
            mask: self.mask,
            precision: self.precision,
        }
    }

    /// Values in a row of the result.
    fn row_len(&self) -> usize {
        self.heads.count * self.heads.width
    }

    /// What scores are multiplied by, for powers of two: 2^x is cheaper than e^x.
    fn scale(&self) -> f32 {
        std::f32::consts::LOG2_E / (self.heads.width as f32).sqrt()
    }
}

impl Kernels {
    /// `output [batch, queries, heads * width] = softmax(q k^T / sqrt(width)) v`, each head by itself (Vaswani et al.
    /// 2017, eq. 1).
    ///
    /// # Panics
    /// If the sequences do not hold the batch that the output's length implies, or keys and values differ
    /// in number, or a causal mask meets fewer keys than queries.
    pub fn attention<'a>(self, attention: Attention<Values<'_>>, output: impl Into<ValuesMut<'a>>) {
        let output = output.into();
        let len = output.len();
        let Attention {
            query,
            key,
            value,
            mask,
            ..
        } = attention;
        let per_sequence = query.tokens * attention.row_len();
        assert!(per_sequence > 0 && key.tokens > 0, "an empty sequence");
        assert!(len.is_multiple_of(per_sequence), "values of the result");
        assert_eq!(key.tokens, value.tokens, "keys and values");
        assert!(
            mask == Mask::None || key.tokens >= query.tokens,
            "keys of a causal mask"
        );
        let all = [query.values, key.values, value.values];
        #[cfg(target_arch = "x86_64")]
        if attention.precision == Precision::Bf16 && self.set.multiplies_bf16() {
            let output = Output::new(output);
            match all {
                [Values::F32(q), Values::F32(k), Values::F32(v)] => {
                    return pairs::run(self, &attention.with([q, k, v]), output, len);
                }
                [Values::Bf16(q), Values::Bf16(k), Values::Bf16(v)] => {
                    return pairs::run(self, &attention.with([q, k, v]), output, len);
                }
                mixed => {
                    let wide = mixed.map(Values::widened);
                    let wide = wide.each_ref().map(|values| &**values);
                    return pairs::run(self, &attention.with(wide), output, len);
                }
            }
        }
        let wide = all.map(Values::widened);
        let attention = attention.with(wide.each_ref().map(|values| &**values));
        match output {
            ValuesMut::F32(output) => vectors::run(self, &attention, output),
            ValuesMut::Bf16(output) => {
                let mut whole = unspecified(output.len());
                vectors::run(self, &attention, &mut whole);
                convert(&whole, output);
            }
        }
    }
}
