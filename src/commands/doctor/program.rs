//! The program, and how it computes.

use super::finding::Finding;
use promptfed_kernels::{ENVIRONMENT, InstructionSet};
use promptfed_synth::engines::sd::Precision;
use serde_json::json;
use std::env::consts::{ARCH, OS};

pub(super) fn check() -> Vec<Finding> {
    let version = env!("CARGO_PKG_VERSION");
    let program = Finding::ok("program", format!("promptfed {version} for {ARCH}-{OS}"))
        .with("version", version)
        .with("architecture", ARCH)
        .with("system", OS);
    vec![program, arithmetic()]
}

/// The instructions and the number format, on which the last bits of images depend.
fn arithmetic() -> Finding {
    let name = "arithmetic";
    let set = match InstructionSet::chosen() {
        Ok(set) => set,
        Err(error) => {
            let remedy = format!("correct {ENVIRONMENT}, or unset it for the best of them");
            return Finding::fault(name, error.to_string(), remedy);
        }
    };
    let precision = Precision::chosen().on_cpu();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let text = format!("{set} instructions, {precision}, {cores} processors");
    let found = match set {
        InstructionSet::Portable => Finding::warning(
            name,
            text,
            "this processor, or its virtual machine, shows no vector instructions: work takes many times as long; give the machine its host's processor model",
        ),
        _ => Finding::ok(name, text),
    };
    found
        .with("instructions", set.to_string())
        .with("precision", json!(precision))
        .with("processors", cores)
}
