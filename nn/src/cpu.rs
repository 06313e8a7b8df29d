//! The way from tensors on the CPU to the kernels.

use candle_core::{CpuStorage, Layout, Result, Shape, Storage, Tensor};
use promptfed_kernels::{self as kernels, Kernels, unspecified};

use crate::Precision;

/// The kernels of this processor.
pub(crate) fn kernels() -> Result<Kernels> {
    Kernels::chosen().map_err(candle_core::Error::wrap)
}

/// What the kernels make of a precision: the CPU knows half precision as bf16 only.
pub(crate) fn packed(precision: Precision) -> kernels::Precision {
    match precision {
        Precision::F32 => kernels::Precision::F32,
        Precision::Bf16 | Precision::F16 => kernels::Precision::Bf16,
    }
}

/// The values of a contiguous f32 tensor.
pub(crate) fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let values = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => candle_core::bail!("a contiguous tensor is needed; call contiguous() first"),
    }
}

/// Runs `f` on the values of a contiguous f32 tensor on the CPU.
pub(crate) fn read<R>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => Ok(f(slice(storage, layout)?)),
        _ => candle_core::bail!("a tensor on the CPU is needed"),
    }
}

/// Runs `f` on the values of an f32 tensor on the CPU, if there is one.
pub(crate) fn read_if<R>(
    tensor: Option<&Tensor>,
    f: impl FnOnce(Option<&[f32]>) -> R,
) -> Result<R> {
    match tensor {
        Some(tensor) => read(&tensor.contiguous()?, |values| f(Some(values))),
        None => Ok(f(None)),
    }
}

/// The values of an f32 tensor on the CPU.
pub(crate) fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}

/// A new tensor of `shape` that `f` writes whole from the values of `x`. It has no gradient.
pub(crate) fn map(
    x: &Tensor,
    shape: impl Into<Shape>,
    f: impl FnOnce(&[f32], &mut [f32]),
) -> Result<Tensor> {
    let shape = shape.into();
    let mut output = unspecified(shape.elem_count());
    read(&x.contiguous()?, |x| f(x, &mut output))?;
    Tensor::from_vec(output, shape, x.device())
}
