//! Powers of two.

use pulp::Simd;

/// The polynomial of degree 5 that is 1 at 0 and whose largest relative error from 2^x on [-1/2, 1/2] is smallest: the
/// coefficient of x^5, then those below.
pub(crate) const LEADING: f32 = 1.326_472_7e-3;
#[expect(clippy::approx_constant, reason = "near ln 2, but not it")]
pub(crate) const COEFFICIENTS: [f32; 5] = [
    9.671_513e-3,
    5.550_733_6e-2,
    2.402_224_2e-1,
    6.931_47e-1,
    1.0,
];

/// 2^x for x <= 0 with a relative error below 2e-7; 2^-126 and less become 2^-126.
///
/// The integer part goes into the exponent, the rest through a polynomial.
/// Step by step for all of `N` rows of `V` vectors: one after the other each would wait for its own previous step.
#[inline(always)]
pub(crate) fn exp2<S: Simd, const V: usize, const N: usize>(
    simd: S,
    x: [[S::f32s; V]; N],
) -> [[S::f32s; V]; N] {
    // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
    let round = simd.splat_f32s(12_582_912.0);
    let lowest = simd.splat_f32s(-126.0);
    let mut shifted = x;
    let mut r = x;
    let mut p = [[simd.splat_f32s(LEADING); V]; N];
    for i in 0..N {
        for j in 0..V {
            // No `max`: that of some instruction sets hides NaN.
            let below = simd.less_than_f32s(x[i][j], lowest);
            r[i][j] = simd.select_f32s(below, lowest, x[i][j]);
            shifted[i][j] = simd.add_f32s(r[i][j], round);
        }
    }
    for i in 0..N {
        for j in 0..V {
            r[i][j] = simd.sub_f32s(r[i][j], simd.sub_f32s(shifted[i][j], round));
        }
    }
    for coefficient in COEFFICIENTS {
        let coefficient = simd.splat_f32s(coefficient);
        for i in 0..N {
            for j in 0..V {
                p[i][j] = simd.mul_add_e_f32s(p[i][j], r[i][j], coefficient);
            }
        }
    }
    for i in 0..N {
        for j in 0..V {
            let exponent = simd.wrapping_dyn_shl_u32s(
                simd.transmute_u32s_f32s(shifted[i][j]),
                simd.splat_u32s(23),
            );
            let sum = simd.add_u32s(simd.transmute_u32s_f32s(p[i][j]), exponent);
            p[i][j] = simd.transmute_f32s_u32s(sum);
        }
    }
    p
}

#[cfg(test)]
mod tests {
    use pulp::WithSimd;

    use super::*;
    use crate::InstructionSet;

    struct Powers<'a>(&'a mut [f32]);

    impl WithSimd for Powers<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let (vectors, rest) = S::as_mut_simd_f32s(self.0);
            assert!(rest.is_empty());
            for value in vectors {
                [[*value]] = exp2(simd, [[*value]]);
            }
        }
    }

    #[test]
    fn powers_are_accurate_and_nan_survives() {
        let exponents: Vec<f32> = (0..1_260_000).map(|i| -i as f32 / 10_000.0).collect();
        for set in InstructionSet::available() {
            let mut powers = exponents.clone();
            set.run(Powers(&mut powers));
            for (x, power) in exponents.iter().zip(&powers) {
                let exact = f64::from(*x).exp2();
                let error = (f64::from(*power) - exact).abs() / exact;
                assert!(error < 2e-7, "2^{x} is off by {error:e} under {set}");
            }
            let mut special = [0.0; 16];
            special[1] = f32::NAN;
            special[2] = f32::NEG_INFINITY;
            set.run(Powers(&mut special));
            assert_eq!(special[0], 1.0);
            assert!(special[1].is_nan());
            assert_eq!(special[2], f32::MIN_POSITIVE);
        }
    }
}
