//! The way from tensors on the CPU to the kernels.

use candle_core::{CpuStorage, DType, Device, Layout, Result, Shape, Storage, Tensor, WithDType};
use promptfed_kernels::{self as kernels, Kernels, Values, ValuesMut, unspecified};

use crate::Precision;

/// The kernels of this processor.
pub(crate) fn kernels() -> Result<Kernels> {
    Kernels::chosen().map_err(candle_core::Error::wrap)
}

/// Name of the family of instructions that the kernels use, on which the last bits of results depend.
pub fn instructions() -> String {
    match kernels::InstructionSet::chosen() {
        Ok(set) => set.to_string(),
        // Every computation says so too.
        Err(error) => error.to_string(),
    }
}

/// What the kernels make of a precision: the CPU knows half precision as bf16 only.
pub(crate) fn packed(precision: Precision) -> kernels::Precision {
    match precision {
        Precision::F32 => kernels::Precision::F32,
        Precision::Bf16 | Precision::F16 => kernels::Precision::Bf16,
    }
}

/// The values of a contiguous tensor.
fn contiguous<'a, T: WithDType>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    let values = storage.as_slice::<T>()?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => candle_core::bail!("a contiguous tensor is needed; call contiguous() first"),
    }
}

/// The values of a contiguous f32 tensor.
pub(crate) fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    contiguous(storage, layout)
}

/// The values of a contiguous tensor in f32 or bf16.
pub(crate) fn either<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<Values<'a>> {
    Ok(match storage {
        CpuStorage::BF16(_) => Values::Bf16(contiguous(storage, layout)?),
        _ => Values::F32(contiguous(storage, layout)?),
    })
}

/// The type of values.
pub(crate) fn dtype(values: Values<'_>) -> DType {
    match values {
        Values::F32(_) => DType::F32,
        Values::Bf16(_) => DType::BF16,
    }
}

/// Runs `f` on the values of a contiguous tensor on the CPU.
fn with_storage<R>(
    tensor: &Tensor,
    f: impl FnOnce(&CpuStorage, &Layout) -> Result<R>,
) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => f(storage, layout),
        _ => candle_core::bail!("a tensor on the CPU is needed"),
    }
}

/// Runs `f` on the values of a contiguous f32 tensor on the CPU.
pub(crate) fn read<R>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
    with_storage(tensor, |storage, layout| Ok(f(slice(storage, layout)?)))
}

/// Runs `f` on the values of a tensor in f32 or bf16 on the CPU.
pub(crate) fn read_either<R>(tensor: &Tensor, f: impl FnOnce(Values<'_>) -> R) -> Result<R> {
    let tensor = tensor.contiguous()?;
    with_storage(&tensor, |storage, layout| Ok(f(either(storage, layout)?)))
}

/// Runs `f` on the values of a tensor in f32 or bf16 on the CPU, if there is one.
pub(crate) fn read_if<R>(
    tensor: Option<&Tensor>,
    f: impl FnOnce(Option<Values<'_>>) -> R,
) -> Result<R> {
    match tensor {
        Some(tensor) => read_either(tensor, |values| f(Some(values))),
        None => Ok(f(None)),
    }
}

/// The values of an f32 tensor on the CPU.
pub(crate) fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}

/// Values of `dtype` on the CPU that `f` writes whole.
///
/// # Errors
/// If the type is neither f32 nor bf16.
pub(crate) fn written(
    len: usize,
    dtype: DType,
    f: impl FnOnce(ValuesMut<'_>),
) -> Result<CpuStorage> {
    match dtype {
        DType::F32 => {
            let mut values = unspecified(len);
            f(ValuesMut::F32(&mut values));
            Ok(CpuStorage::F32(values))
        }
        DType::BF16 => {
            let mut values = unspecified(len);
            f(ValuesMut::Bf16(&mut values));
            Ok(CpuStorage::BF16(values))
        }
        other => candle_core::bail!("the processor's kernels write f32 and bf16, not {other:?}"),
    }
}

/// A new tensor on the CPU that `f` writes whole. It has no gradient.
pub(crate) fn write(
    shape: impl Into<Shape>,
    dtype: DType,
    f: impl FnOnce(ValuesMut<'_>),
) -> Result<Tensor> {
    let shape = shape.into();
    match written(shape.elem_count(), dtype, f)? {
        CpuStorage::BF16(values) => Tensor::from_vec(values, shape, &Device::Cpu),
        CpuStorage::F32(values) => Tensor::from_vec(values, shape, &Device::Cpu),
        _ => candle_core::bail!("no such type was asked for"),
    }
}

/// A new tensor of `shape` that `f` writes whole from the values of `x`, in f32 or bf16 both. It has no gradient.
pub(crate) fn map(
    x: &Tensor,
    shape: impl Into<Shape>,
    dtype: DType,
    f: impl FnOnce(Values<'_>, ValuesMut<'_>),
) -> Result<Tensor> {
    read_either(x, |x| write(shape, dtype, |output| f(x, output)))?
}

/// [`map`] of f32 values.
pub(crate) fn map_f32(
    x: &Tensor,
    shape: impl Into<Shape>,
    dtype: DType,
    f: impl FnOnce(&[f32], ValuesMut<'_>),
) -> Result<Tensor> {
    read(&x.contiguous()?, |x| {
        write(shape, dtype, |output| f(x, output))
    })?
}
