//! Whole numbers in a safetensors file, which [`Loader`](promptfed_nn::load::Loader) takes for no weights.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::Metadata;

use crate::Result;
use crate::error::model_fault;

/// The values of the tensors with one whole number, by name. The file is known to be a safetensors file.
///
/// # Errors
/// If the file cannot be read.
pub(super) fn integers(file: &Path) -> Result<BTreeMap<String, f32>> {
    let mut bytes = fs_err::File::open(file)?;
    let mut size = [0; 8];
    bytes.read_exact(&mut size)?;
    let size = u64::from_le_bytes(size);
    let mut header = Vec::new();
    bytes.by_ref().take(size).read_to_end(&mut header)?;
    let header: Metadata = serde_json::from_slice(&header)
        .map_err(|e| model_fault(file, format!("its header is not readable ({e})")))?;
    let mut all = BTreeMap::new();
    for (name, info) in header.tensors() {
        let (from, to) = info.data_offsets;
        if info.shape.iter().product::<usize>() != 1 || to - from > 8 {
            continue;
        }
        let mut value = vec![0; to - from];
        bytes.seek(SeekFrom::Start(8 + size + from as u64))?;
        bytes.read_exact(&mut value)?;
        if let Some(value) = whole(info.dtype, &value) {
            all.insert(name, value as f32);
        }
    }
    Ok(all)
}

/// A little-endian whole number; `None` for bytes of another type.
fn whole(dtype: Dtype, bytes: &[u8]) -> Option<i64> {
    let is_signed = match dtype {
        Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64 => true,
        Dtype::U8 | Dtype::U16 | Dtype::U32 | Dtype::U64 => false,
        _ => return None,
    };
    let fill = match bytes.last() {
        Some(last) if is_signed && *last >= 0x80 => 0xff,
        _ => 0,
    };
    let mut wide = [fill; 8];
    wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(wide))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_of_every_width_are_read() {
        assert_eq!(whole(Dtype::I64, &16i64.to_le_bytes()), Some(16));
        assert_eq!(whole(Dtype::I32, &(-3i32).to_le_bytes()), Some(-3));
        assert_eq!(whole(Dtype::U8, &[200]), Some(200));
        assert_eq!(whole(Dtype::I8, &[200]), Some(-56));
        assert_eq!(whole(Dtype::F32, &1f32.to_le_bytes()), None);
    }
}
