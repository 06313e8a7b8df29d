//! The layers of a transformer, as variables.

use candle_core::{D, Device, Result, Tensor, Var};
use promptfed_nn::layer_norm::layer_norm;
use promptfed_nn::noise::uniform;

/// A map from one width to another, with a bias.
pub(super) struct Linear {
    /// `[outputs, inputs]`
    weight: Var,
    bias: Var,
}

impl Linear {
    /// Weights within `1 / sqrt(inputs)`, as PyTorch's layers draw theirs, and no bias.
    pub(super) fn new(inputs: usize, outputs: usize, seed: [u8; 32]) -> Result<Self> {
        let bound = 1.0 / (inputs.max(1) as f32).sqrt();
        let values = uniform(seed, inputs * outputs, -bound, bound);
        Ok(Self {
            weight: variable(values, (outputs, inputs))?,
            bias: variable(vec![0.0; outputs], outputs)?,
        })
    }

    /// Of rows `[n, inputs]`.
    pub(super) fn forward(&self, rows: &Tensor) -> Result<Tensor> {
        let products = rows.matmul(&self.weight.as_tensor().t()?)?;
        products.broadcast_add(self.bias.as_tensor())
    }

    pub(super) fn variables(&self) -> [&Var; 2] {
        [&self.weight, &self.bias]
    }
}

/// Layer normalisation with scale and shift.
pub(super) struct Norm {
    scale: Var,
    shift: Var,
}

impl Norm {
    pub(super) fn new(width: usize) -> Result<Self> {
        Ok(Self {
            scale: variable(vec![1.0; width], width)?,
            shift: variable(vec![0.0; width], width)?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        layer_norm(x, 1e-5)?
            .broadcast_mul(self.scale.as_tensor())?
            .broadcast_add(self.shift.as_tensor())
    }

    pub(super) fn variables(&self) -> [&Var; 2] {
        [&self.scale, &self.shift]
    }
}

/// A tensor that is trained.
pub(super) fn variable(values: Vec<f32>, shape: impl Into<candle_core::Shape>) -> Result<Var> {
    Var::from_vec(values, shape, &Device::Cpu)
}

/// A block of a transformer (Vaswani et al. 2017, figure 1, left, with the normalisations before the layers): attention of all words to all
/// words, then two linear maps with ReLU between them.
pub(super) struct Block {
    before: Norm,
    queries_keys_values: Linear,
    mixed: Linear,
    between: Norm,
    wide: Linear,
    narrow: Linear,
    heads: usize,
}

impl Block {
    /// `seed` gives the seed of each of four linear maps.
    pub(super) fn new(
        width: usize,
        heads: usize,
        mut seed: impl FnMut() -> [u8; 32],
    ) -> Result<Self> {
        Ok(Self {
            before: Norm::new(width)?,
            queries_keys_values: Linear::new(width, 3 * width, seed())?,
            mixed: Linear::new(width, width, seed())?,
            between: Norm::new(width)?,
            wide: Linear::new(width, 2 * width, seed())?,
            narrow: Linear::new(2 * width, width, seed())?,
            heads,
        })
    }

    pub(super) fn variables(&self) -> impl Iterator<Item = &Var> {
        let norms = self.before.variables().into_iter();
        let norms = norms.chain(self.between.variables());
        let maps = [
            &self.queries_keys_values,
            &self.mixed,
            &self.wide,
            &self.narrow,
        ];
        norms.chain(maps.into_iter().flat_map(Linear::variables))
    }

    /// Of texts `[n, words, width]`; `hidden [n, 1, 1, words]` is added to the scores of words, and far below 0 where there is none.
    pub(super) fn forward(&self, x: &Tensor, hidden: &Tensor) -> Result<Tensor> {
        let (n, words, width) = x.dims3()?;
        let rows = x.reshape((n * words, width))?;
        let all = self
            .queries_keys_values
            .forward(&self.before.forward(&rows)?)?;
        let part = |i: usize| {
            all.narrow(1, i * width, width)?
                .reshape((n, words, self.heads, width / self.heads))?
                .transpose(1, 2)?
                .contiguous()
        };
        let (queries, keys, values) = (part(0)?, part(1)?, part(2)?);
        let scale = 1.0 / ((width / self.heads) as f64).sqrt();
        let scores = (queries.matmul(&keys.transpose(2, 3)?)? * scale)?;
        let scores = scores.broadcast_add(hidden)?;
        // The largest is taken away for the numbers' sake alone, and nothing depends on it.
        let largest = scores.max_keepdim(D::Minus1)?.detach();
        let shares = scores.broadcast_sub(&largest)?.exp()?;
        let shares = shares.broadcast_div(&shares.sum_keepdim(D::Minus1)?)?;
        let mixed = shares.matmul(&values)?.transpose(1, 2)?.contiguous()?;
        let mixed = self.mixed.forward(&mixed.reshape((n * words, width))?)?;
        let rows = (rows + mixed)?;
        let wide = self.wide.forward(&self.between.forward(&rows)?)?.relu()?;
        (rows + self.narrow.forward(&wide)?)?.reshape((n, words, width))
    }
}
