//! The graphics card.

use super::finding::Finding;
use promptfed_synth::Error;
use promptfed_synth::engines::DeviceKind;

const NAME: &str = "graphics-card";

pub(super) fn check() -> Finding {
    let (found, has_support, has_card) = match DeviceKind::Cuda.open() {
        Ok(_) => (
            Finding::ok(NAME, "an NVIDIA card can be used (--device cuda)"),
            true,
            true,
        ),
        // No fault: it computes on the processor.
        Err(Error::WithoutCuda) => (
            Finding::ok(
                NAME,
                "none is used: this program was built without CUDA (--features cuda)",
            ),
            false,
            false,
        ),
        Err(Error::NoCard(reason)) => (
            Finding::warning(
                NAME,
                format!("no NVIDIA card can be used ({reason})"),
                "see that nvidia-smi lists one, or leave --device cuda out",
            ),
            true,
            false,
        ),
        Err(error) => (Finding::error(NAME, &error), true, false),
    };
    found.with("cuda", has_support).with("card", has_card)
}
