//! Where the networks run.

use candle_core::Device;

use crate::{Error, Result};

/// A kind of processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceKind {
    /// The processor.
    #[default]
    Cpu,
    /// The first NVIDIA graphics card.
    Cuda,
}

impl DeviceKind {
    /// Makes the device ready.
    ///
    /// # Errors
    /// A program built without support for it, or a machine without one.
    pub fn open(self) -> Result<Device> {
        match self {
            DeviceKind::Cpu => Ok(Device::Cpu),
            DeviceKind::Cuda if !candle_core::utils::cuda_is_available() => Err(Error::Spec(
                "this program was built without CUDA; build it with --features cuda, or use the device cpu".into(),
            )),
            DeviceKind::Cuda => Ok(Device::new_cuda(0)?),
        }
    }
}

impl std::str::FromStr for DeviceKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "cpu" => Ok(DeviceKind::Cpu),
            "cuda" => Ok(DeviceKind::Cuda),
            _ => Err(format!("unknown device {text:?}; there are cpu and cuda")),
        }
    }
}
