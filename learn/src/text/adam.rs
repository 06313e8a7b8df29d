//! Adam.

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, Var};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization", algorithm 1.
pub(super) struct Adam {
    moments: Vec<[Tensor; 2]>,
    steps: i32,
}

impl Adam {
    pub(super) fn new(variables: &[&Var]) -> Result<Self> {
        let zeros = |var: &&Var| Ok([var.zeros_like()?, var.zeros_like()?]);
        Ok(Self {
            moments: variables.iter().map(zeros).collect::<Result<_>>()?,
            steps: 0,
        })
    }

    /// A variable without a gradient stays as it is.
    pub(super) fn step(
        &mut self,
        variables: &[&Var],
        gradients: &GradStore,
        rate: f64,
    ) -> Result<()> {
        self.steps = self.steps.saturating_add(1);
        let rest = |beta: f64| 1.0 - beta.powi(self.steps);
        for (var, [first, second]) in variables.iter().zip(&mut self.moments) {
            let Some(gradient) = gradients.get(var.as_tensor()) else {
                continue;
            };
            // What made it is not differentiated again.
            let gradient = gradient.detach();
            *first = ((&*first * BETA1)? + (&gradient * (1.0 - BETA1))?)?;
            *second = ((&*second * BETA2)? + (gradient.sqr()? * (1.0 - BETA2))?)?;
            let mean = (&*first / rest(BETA1))?;
            let root = (&*second / rest(BETA2))?.sqrt()?;
            let step = ((mean / (root + EPSILON)?)? * rate)?;
            var.set(&(var.as_tensor().detach() - step)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// By hand: the first step is the rate in every direction; of a gradient that stays the same, so is every other.
    #[test]
    fn steps_have_the_length_of_the_rate() {
        let var = Var::new(&[1.0f32, -2.0], &Device::Cpu).unwrap();
        let mut adam = Adam::new(&[&var]).unwrap();
        let slopes = Tensor::new(&[3.0f32, -0.5], &Device::Cpu).unwrap();
        for step in 1..4 {
            let loss = (var.as_tensor() * &slopes).unwrap().sum_all().unwrap();
            let gradients = loss.backward().unwrap();
            adam.step(&[&var], &gradients, 0.1).unwrap();
            let found: Vec<f32> = var.as_tensor().to_vec1().unwrap();
            let gone = 0.1 * step as f32;
            assert!((found[0] - (1.0 - gone)).abs() < 1e-5, "{found:?}");
            assert!((found[1] - (-2.0 + gone)).abs() < 1e-5, "{found:?}");
        }
    }
}
