//! Where an engine's networks run.

use std::collections::BTreeMap;

use candle_core::Device;
use promptfed_nn::{Precision, instructions};
use serde::Deserialize;

use crate::{Error, Result};

/// A kind of processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
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
    /// [`Error::WithoutCuda`] of a program built without support for it, [`Error::NoCard`] on a machine without a usable one.
    pub fn open(self) -> Result<Device> {
        match self {
            DeviceKind::Cpu => Ok(Device::Cpu),
            DeviceKind::Cuda if !candle_core::utils::cuda_is_available() => Err(Error::WithoutCuda),
            DeviceKind::Cuda => card(Device::new_cuda(0)),
        }
    }
}

/// What an engine's settings say of how numbers are computed. Another kind of processor, number format or family of instructions
/// sums in another order: its images are another job's.
pub(super) fn settings(device: &Device, precision: Precision) -> BTreeMap<String, String> {
    let (precision, name, value) = match device {
        Device::Cpu => (precision.on_cpu(), "instructions", instructions()),
        Device::Cuda(_) => (precision, "device", "cuda".to_owned()),
        Device::Metal(_) => (precision, "device", "metal".to_owned()),
    };
    BTreeMap::from([
        ("precision".to_owned(), precision.to_string()),
        (name.to_owned(), value),
    ])
}

/// The card, or why there is none in one line: candle's own words may go on with a backtrace.
fn card(opened: candle_core::Result<Device>) -> Result<Device> {
    opened.map_err(|error| {
        let told = error.to_string();
        Error::NoCard(told.lines().next().unwrap_or_default().to_owned())
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_that_cannot_be_used_is_told_in_one_sentence_with_a_remedy() {
        let driver = candle_core::Error::msg("CUDA_ERROR_NO_DEVICE").context("line\nline");
        let error = card(Err(candle_core::Error::msg(
            "no CUDA-capable device is detected\n   0: main",
        )));
        let told = error.unwrap_err().to_string();
        assert!(
            told.contains("(no CUDA-capable device is detected); ") && told.contains("device cpu"),
            "{told}"
        );
        assert_eq!(
            card(Err(driver)).unwrap_err().to_string().lines().count(),
            1
        );
        assert!(card(Ok(Device::Cpu)).is_ok());
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_program_without_cuda_says_how_to_build_one() {
        let told = DeviceKind::Cuda.open().unwrap_err().to_string();
        assert!(
            told.contains("--features cuda") && told.contains("device cpu"),
            "{told}"
        );
        assert_eq!(told.lines().count(), 1);
    }
}
