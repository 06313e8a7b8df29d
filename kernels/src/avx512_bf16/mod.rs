//! bf16 products and conversions by AVX-512.

mod interleave;
mod multiply;
mod round;

pub(crate) use interleave::transposed;
pub(crate) use round::RoundToBf16;

/// That the processor has the instructions.
#[derive(Clone, Copy)]
pub(crate) struct Vectors {
    detected: (),
}

impl Vectors {
    /// # Panics
    /// If the processor lacks AVX512_BF16, or the vectors that every processor with it has.
    pub(crate) fn detect() -> Self {
        assert!(
            std::arch::is_x86_feature_detected!("avx512bf16")
                && std::arch::is_x86_feature_detected!("avx512f")
                && std::arch::is_x86_feature_detected!("avx512bw")
                && std::arch::is_x86_feature_detected!("avx512dq"),
            "bf16 instructions that this processor lacks"
        );
        Self { detected: () }
    }
}
