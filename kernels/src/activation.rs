//! Functions applied to single values.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::values::Element;
use crate::vector::exp;
use crate::{Kernels, ValuesMut};

/// A function that an [`Epilogue`](crate::Epilogue) or a normalisation applies to its results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// x
    #[default]
    None,
    /// max(x, 0); NaN stays.
    Relu,
    /// min(max(x, 0), 6); NaN stays (Howard et al. 2017).
    Relu6,
    /// x / (1 + e^-x) (Elfwing, Uchibe and Doya 2018, eq. 4)
    Silu,
    /// x Phi(x) in its tanh form, x / (1 + e^(-2 sqrt(2/pi) (x + 0.044715 x^3))) (Hendrycks and Gimpel 2016, section 2)
    Gelu,
    /// x Phi(x) with the error function (Hendrycks and Gimpel 2016, section 2), with an error below 1e-6
    GeluErf,
    /// x / (1 + e^(-1.702 x)) (Hendrycks and Gimpel 2016, section 2)
    QuickGelu,
}

impl Activation {
    /// Applies the function to every value.
    #[inline(always)]
    pub(crate) fn apply(self, values: &mut [f32]) {
        #[inline(always)]
        fn each(values: &mut [f32], function: impl Fn(f32) -> f32) {
            for value in values {
                *value = function(*value);
            }
        }
        match self {
            Self::None => {}
            Self::Relu => each(values, |x| if x < 0.0 { 0.0 } else { x }),
            Self::Relu6 => each(values, |x| x.clamp(0.0, 6.0)),
            Self::Silu => each(values, |x| x / (1.0 + exp(-x))),
            Self::Gelu => each(values, gelu),
            Self::GeluErf => each(values, gelu_erf),
            Self::QuickGelu => each(values, |x| x / (1.0 + exp(-1.702 * x))),
        }
    }
}

impl Kernels {
    /// `output [rows, d]` = the first half of each row of `x [rows, 2 d]` times the activation of the second (Shazeer
    /// 2020, eq. 5).
    ///
    /// # Panics
    /// If the slices are not of these shapes.
    pub fn gated<'a>(
        self,
        x: &[f32],
        d: usize,
        activation: Activation,
        output: impl Into<ValuesMut<'a>>,
    ) {
        match output.into() {
            ValuesMut::F32(output) => self.gate(x, d, activation, output),
            ValuesMut::Bf16(output) => self.gate(x, d, activation, output),
        }
    }

    fn gate<T: Element>(self, x: &[f32], d: usize, activation: Activation, output: &mut [T]) {
        assert!(d > 0 && output.len().is_multiple_of(d), "rows");
        assert_eq!(x.len(), 2 * output.len(), "values and gates");
        let per_task = (1 << 13) / d + 1;
        output
            .par_chunks_mut(per_task * d)
            .zip(x.par_chunks(2 * per_task * d))
            .for_each(|(output, x)| {
                self.instruction_set().run(Gated {
                    x,
                    d,
                    activation,
                    output,
                });
            });
    }
}

struct Gated<'a, T> {
    x: &'a [f32],
    d: usize,
    activation: Activation,
    output: &'a mut [T],
}

impl<T: Element> WithSimd for Gated<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let rows = self.x.chunks_exact(2 * self.d);
        let mut scratch = Vec::new();
        for (output, row) in self.output.chunks_exact_mut(self.d).zip(rows) {
            T::write(output, &mut scratch, |output| {
                let (values, gates) = row.split_at(self.d);
                output.copy_from_slice(gates);
                self.activation.apply(output);
                for (o, value) in output.iter_mut().zip(values) {
                    *o *= value;
                }
            });
        }
    }
}

#[inline(always)]
fn gelu(x: f32) -> f32 {
    const TWICE_SQRT_2_OVER_PI: f32 = 1.595_769;
    x / (1.0 + exp(-TWICE_SQRT_2_OVER_PI * (x + 0.044_715 * x * x * x)))
}

#[inline(always)]
fn gelu_erf(x: f32) -> f32 {
    // x Phi(x) = x (1 - erfc(|x| / sqrt 2) / 2) for x > 0 and x erfc(|x| / sqrt 2) / 2 for x < 0, with
    // erfc(z) = t P(t) e^(-z^2), t = 1 / (1 + 0.3275911 z) (Abramowitz and Stegun 1964, 7.1.26).
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let mut p = 1.061_405_4;
    p = p * t - 1.453_152;
    p = p * t + 1.421_413_7;
    p = p * t - 0.284_496_74;
    p = p * t + 0.254_829_6;
    let tail = 0.5 * p * t * exp(-z * z);
    x * if x < 0.0 { tail } else { 1.0 - tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// erf by its Taylor series about 0 in f64, good to 1e-7.
    fn erf(x: f64) -> f64 {
        if x.abs() > 5.0 {
            return x.signum();
        }
        let mut term = x;
        let mut sum = x;
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    #[test]
    fn activations_follow_their_formulas() {
        let near = (-600..=600).map(|i| i as f32 / 100.0);
        let far = [6.5, 8.0, 10.0, 20.0, 50.0, 88.0, 89.0, 104.0, 1e3, 1e6];
        let inputs: Vec<f32> = near.chain(far).chain(far.map(|x| -x)).collect();
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        let tanh_form = |x: f64| {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            0.5 * x * (1.0 + inner.tanh())
        };
        type Reference<'a> = &'a dyn Fn(f64) -> f64;
        let cases: [(Activation, Reference<'_>); 7] = [
            (Activation::None, &|x| x),
            (Activation::Relu, &|x| x.max(0.0)),
            (Activation::Relu6, &|x| x.clamp(0.0, 6.0)),
            (Activation::Silu, &|x| x * logistic(x)),
            (Activation::Gelu, &tanh_form),
            (Activation::GeluErf, &|x| {
                0.5 * x * (1.0 + erf(x / 2f64.sqrt()))
            }),
            (Activation::QuickGelu, &|x| x * logistic(1.702 * x)),
        ];
        for (activation, reference) in cases {
            let mut values = inputs.clone();
            activation.apply(&mut values);
            for (x, y) in inputs.iter().zip(values) {
                let exact = reference(f64::from(*x));
                let size = if x.abs() > 6.0 {
                    exact.abs().max(1.0)
                } else {
                    1.0
                };
                let error = (f64::from(y) - exact).abs() / size;
                assert!(
                    error < 1e-6,
                    "{activation:?}({x}) = {y} and not {exact}, off by {error:e}"
                );
            }
        }
    }

    #[test]
    fn a_nan_survives_activations() {
        for activation in [
            Activation::Relu,
            Activation::Relu6,
            Activation::Silu,
            Activation::Gelu,
            Activation::GeluErf,
            Activation::QuickGelu,
        ] {
            let mut values = [f32::NAN];
            activation.apply(&mut values);
            assert!(values[0].is_nan(), "{activation:?}");
        }
    }
}
