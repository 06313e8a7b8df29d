//! Affine maps.

use candle_core::{DType, Tensor};
use promptfed_kernels::{Epilogue, Gate, Kernels, MatrixView, PackedMatrix};

use crate::activation::{Activation, check_residual, finish};
use crate::cpu;
use crate::load::Loader;
use crate::{Error, Precision, Result};

/// Whether a layer adds a learned vector to its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// It does.
    Present,
    /// It does not.
    Absent,
}

/// x W^T + b over the last axis.
pub struct Linear {
    inputs: usize,
    outputs: usize,
    precision: Precision,
    weight: Weight,
}

enum Weight {
    Cpu {
        kernels: Kernels,
        matrix: PackedMatrix,
        bias: Option<Vec<f32>>,
    },
    Device {
        /// [in, out]
        matrix: Tensor,
        /// [out]
        bias: Option<Tensor>,
    },
}

impl Linear {
    /// Takes `name.weight` [outputs, inputs] and, where present, `name.bias` [outputs].
    ///
    /// # Errors
    /// See [`Loader::tensor`]; if the environment names an instruction set that is not here.
    pub fn load(
        loader: &mut Loader,
        name: &str,
        inputs: usize,
        outputs: usize,
        bias: Bias,
    ) -> Result<Self> {
        let matrix = loader.tensor(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = match bias {
            Bias::Present => Some(loader.tensor(&format!("{name}.bias"), &[outputs])?),
            Bias::Absent => None,
        };
        let weight = if loader.device().is_cpu() {
            let kernels = cpu::kernels()?;
            let precision = cpu::packed(loader.precision());
            Weight::Cpu {
                kernels,
                matrix: cpu::read(&matrix.contiguous()?, |values| {
                    let view = MatrixView::transposed(values, inputs);
                    PackedMatrix::new(kernels, view, precision)
                })?,
                bias: bias.as_ref().map(cpu::values).transpose()?,
            }
        } else {
            let dtype = loader.activations();
            Weight::Device {
                matrix: matrix.t()?.contiguous()?.to_dtype(dtype)?,
                bias: bias.map(|bias| bias.to_dtype(dtype)).transpose()?,
            }
        };
        Ok(Self {
            inputs,
            outputs,
            precision: loader.precision(),
            weight,
        })
    }

    /// How the weights are kept.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The format in which the layer's products read their left operand: what nothing else reads may as well be kept in it.
    pub fn operand(&self) -> DType {
        match &self.weight {
            Weight::Cpu { .. } if self.precision == Precision::F32 => DType::F32,
            Weight::Cpu { .. } => DType::BF16,
            Weight::Device { matrix, .. } => matrix.dtype(),
        }
    }

    /// The format of results where none is asked for.
    fn results(&self) -> DType {
        match &self.weight {
            Weight::Cpu { .. } => DType::F32,
            Weight::Device { matrix, .. } => matrix.dtype(),
        }
    }

    /// `x` [.., inputs] -> [.., outputs].
    ///
    /// # Errors
    /// If the last axis has another length.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.run(x, Activation::None, None)
    }

    /// [`Linear::forward`] and the activation of the result, in the format of the layer that reads it: see [`Linear::operand`].
    ///
    /// # Errors
    /// If the last axis has another length.
    pub fn forward_as(&self, x: &Tensor, activation: Activation, dtype: DType) -> Result<Tensor> {
        self.finish(x, activation, None, None, dtype)
    }

    /// [`Linear::forward`] and the activation of the result.
    ///
    /// # Errors
    /// If the last axis has another length.
    pub fn forward_activated(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        self.run(x, activation, None)
    }

    /// [`Linear::forward`] plus `residual`, which has the shape of the result.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward_added(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        self.run(x, Activation::None, Some(residual))
    }

    /// [`Linear::forward`] of `x` [batch, tokens, inputs] times `gate` [batch, outputs], plus `residual`, which has the
    /// shape of the result: the end of both halves of a block with adaptive layer norm (Peebles and Xie 2023, section
    /// 3.2).
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward_gated(&self, x: &Tensor, gate: &Tensor, residual: &Tensor) -> Result<Tensor> {
        let (batch, tokens, _) = x.dims3()?;
        if gate.dims() != [batch, self.outputs] {
            return Err(Error::shapes("a gate", gate.dims(), &[batch, self.outputs]));
        }
        if matches!(self.weight, Weight::Cpu { .. }) {
            return cpu::read(&gate.contiguous()?, |gate| {
                let rows = tokens.max(1);
                let gate = Some(Gate::new(gate, rows));
                self.finish(x, Activation::None, gate, Some(residual), self.results())
            })?;
        }
        let added = self.run(x, Activation::None, None)?;
        Ok((residual + added.broadcast_mul(&gate.unsqueeze(1)?)?)?)
    }

    fn run(&self, x: &Tensor, activation: Activation, residual: Option<&Tensor>) -> Result<Tensor> {
        self.finish(x, activation, None, residual, self.results())
    }

    /// `gate` is for the CPU alone.
    fn finish(
        &self,
        x: &Tensor,
        activation: Activation,
        gate: Option<Gate<'_>>,
        residual: Option<&Tensor>,
        dtype: DType,
    ) -> Result<Tensor> {
        if x.dims().last() != Some(&self.inputs) {
            let map = [self.inputs, self.outputs];
            return Err(Error::shapes("a linear map", x.dims(), &map));
        }
        let mut shape = x.dims().to_vec();
        let rows = shape.iter().rev().skip(1).product::<usize>();
        if let Some(last) = shape.last_mut() {
            *last = self.outputs;
        }
        check_residual(residual, &shape)?;
        match &self.weight {
            Weight::Cpu {
                kernels,
                matrix,
                bias,
            } => Ok(cpu::read_if(residual, |residual| {
                cpu::map(x, shape, dtype, |x, output| {
                    let epilogue = Epilogue {
                        bias: bias.as_deref(),
                        activation,
                        gate,
                        residual,
                    };
                    kernels.multiply(x, matrix, epilogue, output);
                })
            })??),
            Weight::Device { matrix, bias } => {
                let product = x.reshape((rows, self.inputs))?.matmul(matrix)?;
                let mut sum = product.reshape(shape)?;
                if let Some(bias) = bias {
                    sum = sum.broadcast_add(bias)?;
                }
                Ok(finish(&sum, activation, residual)?.to_dtype(dtype)?)
            }
        }
    }
}
