//! The residual addition that ends the halves of transformer blocks with adaptive layer norm.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::Kernels;

impl Kernels {
    /// `output = x + gate y` (Peebles and Xie 2023, section 3.2): `x`, `y` and `output` are `[samples, rows, d]`, `gate`
    /// is `[samples, d]`.
    ///
    /// # Panics
    /// If the slices do not fit these shapes.
    pub fn gated_residual(self, x: &[f32], y: &[f32], gate: &[f32], d: usize, output: &mut [f32]) {
        assert!(x.len() == y.len() && x.len() == output.len(), "values");
        assert!(d > 0 && gate.len().is_multiple_of(d), "gates");
        let samples = gate.len() / d;
        assert!(
            samples > 0 && !x.is_empty() && x.len().is_multiple_of(samples * d),
            "rows"
        );
        let sample = x.len() / samples;
        output
            .par_chunks_mut(sample)
            .zip(x.par_chunks(sample).zip(y.par_chunks(sample)))
            .zip(gate.par_chunks(d))
            .for_each(|((output, (x, y)), gate)| self.set.run(Gated { x, y, gate, output }));
    }
}

struct Gated<'a> {
    x: &'a [f32],
    y: &'a [f32],
    gate: &'a [f32],
    output: &'a mut [f32],
}

impl WithSimd for Gated<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let d = self.gate.len();
        let rows = self.x.chunks_exact(d).zip(self.y.chunks_exact(d));
        for (output, (x, y)) in self.output.chunks_exact_mut(d).zip(rows) {
            let row = x.iter().zip(y).zip(self.gate);
            for (o, ((x, y), gate)) in output.iter_mut().zip(row) {
                *o = x + gate * y;
            }
        }
    }
}
