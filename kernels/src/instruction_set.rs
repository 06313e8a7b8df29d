//! Which instructions the kernels use.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use pulp::WithSimd;

/// A family of vector or matrix instructions, in ascending order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstructionSet {
    /// What every processor has.
    Portable,
    /// 128-bit vectors of AArch64.
    Neon,
    /// 256-bit vectors with fused multiply-add of x86-64.
    Avx2,
    /// 512-bit vectors of x86-64; bf16 products where the processor has AVX512_BF16.
    Avx512,
    /// Matrix tiles of x86-64 for bf16 products, 512-bit vectors for everything else.
    Amx,
}

/// The environment variable that holds the name of the set to use instead of the best one.
pub const ENVIRONMENT: &str = "PROMPTFED_INSTRUCTION_SET";

/// A set that this processor or this build lacks, or a name that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// The processor, the operating system or the build lacks it.
    #[error("this processor has no {0}; it has {list}", list = names(&InstructionSet::available()))]
    Here(InstructionSet),
    /// Not a name of a set.
    #[error(
        "unknown instruction set {0:?}; there are {list}",
        list = names(&InstructionSet::ALL)
    )]
    Name(String),
}

fn names(sets: &[InstructionSet]) -> String {
    let names: Vec<String> = sets.iter().map(ToString::to_string).collect();
    names.join(", ")
}

impl InstructionSet {
    /// All sets, the least preferred first.
    pub const ALL: [Self; 5] = [
        Self::Portable,
        Self::Neon,
        Self::Avx2,
        Self::Avx512,
        Self::Amx,
    ];

    /// The sets that can be used here, the least preferred first.
    pub fn available() -> Vec<Self> {
        let here = Self::ALL.into_iter();
        here.filter(|set| set.is_available()).collect()
    }

    /// Whether the set can be used here.
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => pulp::x86::V3::try_new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => pulp::x86::V4::try_new().is_some(),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Amx => {
                Self::Avx512.is_available() && has_bf16_vectors() && crate::amx::permitted()
            }
            #[cfg(target_arch = "aarch64")]
            Self::Neon => pulp::aarch64::Neon::try_new().is_some(),
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }

    /// The set in use: the one named by [`ENVIRONMENT`], otherwise the best available.
    ///
    /// # Errors
    /// If the environment names a set that is not available.
    pub fn chosen() -> Result<Self, Unavailable> {
        static CHOSEN: OnceLock<Result<InstructionSet, Unavailable>> = OnceLock::new();
        CHOSEN
            .get_or_init(|| match std::env::var(ENVIRONMENT) {
                Ok(name) => name.parse::<Self>()?.or_unavailable(),
                Err(_) => Ok(Self::best()),
            })
            .clone()
    }

    /// The most preferred set that can be used here.
    pub fn best() -> Self {
        static BEST: OnceLock<InstructionSet> = OnceLock::new();
        *BEST.get_or_init(|| {
            let best = Self::available().pop();
            best.unwrap_or(Self::Portable)
        })
    }

    pub(crate) fn or_unavailable(self) -> Result<Self, Unavailable> {
        if self.is_available() {
            Ok(self)
        } else {
            Err(Unavailable::Here(self))
        }
    }

    /// Whether bf16 weights are multiplied by bf16 instructions rather than widened.
    pub fn multiplies_bf16(self) -> bool {
        match self {
            Self::Amx => true,
            Self::Avx512 => has_bf16_vectors(),
            _ => false,
        }
    }

    /// Whether products of bf16 take less time than those of f32. Those of AVX512_BF16 do on AMD's (Zen 5 was measured), and not on Intel's:
    /// on one whose host hides its tiles PyTorch's ran at 77 GFLOP/s beside 125 in f32, and `demo --quick` took half as long again.
    pub(crate) fn gains_by_bf16(self) -> bool {
        self.multiplies_bf16() && (self == Self::Amx || !is_intel())
    }

    /// Runs `operation` with the vectors of this set; with portable ones if it is not available.
    #[inline]
    pub(crate) fn run<O: WithSimd>(self, operation: O) -> O::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                if let Some(simd) = pulp::x86::V3::try_new() {
                    return pulp::Simd::vectorize(simd, operation);
                }
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 | Self::Amx => {
                if let Some(simd) = pulp::x86::V4::try_new() {
                    return pulp::Simd::vectorize(simd, operation);
                }
            }
            #[cfg(target_arch = "aarch64")]
            Self::Neon => {
                if let Some(simd) = pulp::aarch64::Neon::try_new() {
                    return pulp::Simd::vectorize(simd, operation);
                }
            }
            _ => {}
        }
        pulp::Simd::vectorize(pulp::Scalar128b, operation)
    }
}

#[cfg(target_arch = "x86_64")]
fn has_bf16_vectors() -> bool {
    std::arch::is_x86_feature_detected!("avx512bf16")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_bf16_vectors() -> bool {
    false
}

#[cfg(target_arch = "x86_64")]
fn is_intel() -> bool {
    let leaf = std::arch::x86_64::__cpuid_count(0, 0);
    [leaf.ebx, leaf.edx, leaf.ecx]
        .map(u32::to_le_bytes)
        .concat()
        == *b"GenuineIntel"
}

#[cfg(not(target_arch = "x86_64"))]
fn is_intel() -> bool {
    false
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Portable => "portable",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Amx => "amx",
        })
    }
}

impl FromStr for InstructionSet {
    type Err = Unavailable;

    fn from_str(text: &str) -> Result<Self, Unavailable> {
        let mut all = Self::ALL.into_iter();
        all.find(|set| set.to_string() == text)
            .ok_or_else(|| Unavailable::Name(text.to_owned()))
    }
}
