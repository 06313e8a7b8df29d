//! The machine's peak: fused multiply-adds in registers, bf16 products in the first-level cache.

use std::hint::black_box;

use promptfed_kernels::Kernels;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Vector operations of each thread, in millions.
const MILLIONS: usize = 60;
/// Independent sums: two units with a latency of four cycles need eight.
const CHAINS: usize = 12;

struct MultiplyAdds;

impl WithSimd for MultiplyAdds {
    /// Floating-point operations done.
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let factor = simd.splat_f32s(black_box(0.999));
        let term = simd.splat_f32s(black_box(0.001));
        let mut sums = [simd.splat_f32s(black_box(0.5)); CHAINS];
        let rounds = MILLIONS * 1_000_000 / CHAINS;
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = simd.mul_add_f32s(*sum, factor, term);
            }
        }
        black_box(sums.map(|sum| simd.reduce_sum_f32s(sum)));
        (2 * rounds * CHAINS * S::F32_LANES) as f64
    }
}

/// Runs the loop on every thread; returns the floating-point operations done.
pub(crate) fn multiply_adds() -> f64 {
    on_every_thread(|| Arch::new().dispatch(MultiplyAdds))
}

/// bf16 products of operands in the first-level cache on every thread; returns the floating-point operations done, 0 where
/// the processor has no instructions for them.
pub(crate) fn bf16_products(kernels: Kernels) -> f64 {
    const BLOCKS: usize = 500_000;
    on_every_thread(|| kernels.bf16_peak(BLOCKS).unwrap_or(0) as f64)
}

fn on_every_thread(run: impl Fn() -> f64 + Sync) -> f64 {
    (0..rayon::current_num_threads())
        .into_par_iter()
        .with_max_len(1)
        .map(|_| run())
        .sum()
}
