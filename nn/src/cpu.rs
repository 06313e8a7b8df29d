//! Access to the values of tensors on the CPU.

use candle_core::{CpuStorage, Layout, Result, Storage, Tensor};

/// The values of a contiguous f32 tensor.
pub(crate) fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let values = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => candle_core::bail!("a contiguous tensor is needed"),
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
