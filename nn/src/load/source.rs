//! One safetensors file whose values stay where they are until asked for.

use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use crate::{Error, Result};

/// Largest header that is read; those of the largest models have less than a megabyte.
const LARGEST_HEADER: u64 = 100 << 20;

pub(super) struct Source {
    bytes: Box<dyn ReadSeek>,
    header: Metadata,
    /// Where the values begin.
    start: u64,
}

trait ReadSeek: Read + Seek + Send {}
impl<T: Read + Seek + Send> ReadSeek for T {}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = fs_err::File::open(path)?;
        let length = file.metadata()?.len();
        Self::new(Box::new(file), length, &path.display().to_string())
    }

    pub(super) fn from_bytes(bytes: Vec<u8>, origin: &str) -> Result<Self> {
        let length = bytes.len() as u64;
        Self::new(Box::new(Cursor::new(bytes)), length, origin)
    }

    fn new(mut bytes: Box<dyn ReadSeek>, length: u64, origin: &str) -> Result<Self> {
        let fault = |reason: String| Error::Format {
            origin: origin.to_owned(),
            reason,
        };
        let mut size = [0; 8];
        if length < 8 {
            return Err(fault(format!("it has {length} bytes")));
        }
        bytes.read_exact(&mut size)?;
        let size = u64::from_le_bytes(size);
        if size > LARGEST_HEADER || size + 8 > length {
            return Err(fault(format!(
                "its header would be {size} bytes long and the file has {length}"
            )));
        }
        let mut text = vec![0; size as usize];
        bytes.read_exact(&mut text)?;
        // Deserialising checks that the tensors lie one behind the other and that their sizes fit their shapes.
        let header: Metadata =
            serde_json::from_slice(&text).map_err(|e| fault(format!("its header: {e}")))?;
        let expected = 8 + size + header.data_len() as u64;
        if expected != length {
            return Err(fault(format!(
                "it has {length} bytes and its header announces {expected}"
            )));
        }
        Ok(Self {
            bytes,
            header,
            start: 8 + size,
        })
    }

    pub(super) fn header(&self) -> &Metadata {
        &self.header
    }

    /// The bytes `from..to` after the header.
    pub(super) fn read(&mut self, (from, to): (usize, usize)) -> Result<Vec<u8>> {
        let mut bytes = vec![0; to - from];
        self.bytes.seek(SeekFrom::Start(self.start + from as u64))?;
        self.bytes.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// The little-endian values of a floating-point type; `None` for another type.
pub(super) fn to_f32(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let pairs = || bytes.as_chunks::<2>().0.iter();
    Some(match dtype {
        Dtype::F32 => bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect(),
        Dtype::F16 => pairs()
            .map(|b| f16::from_le_bytes(*b))
            .collect::<Vec<_>>()
            .to_f32_vec(),
        Dtype::BF16 => pairs()
            .map(|b| bf16::from_le_bytes(*b))
            .collect::<Vec<_>>()
            .to_f32_vec(),
        Dtype::F64 => bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|b| f64::from_le_bytes(*b) as f32)
            .collect(),
        _ => return None,
    })
}
