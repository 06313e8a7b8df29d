//! The number format on the command line.

use clap::ArgMatches;
use promptfed_synth::engines::DeviceKind;
use promptfed_synth::engines::sd::Precision;

/// Tells where half precision is asked for and no flag asks for a graphics card: processors have none, and compute in bf16.
pub(super) fn tell_half_on_cpu(matches: &ArgMatches) {
    let matches = matches.subcommand().map_or(matches, |(_, inner)| inner);
    let is_half = matches!(matches.try_get_one("precision"), Ok(Some(Precision::F16)));
    let asks_for_card = matches
        .ids()
        .any(|id| matches!(matches.try_get_one(id.as_str()), Ok(Some(DeviceKind::Cuda))));
    if is_half && !asks_for_card {
        eprintln!(
            "warning: f16 is a number format of graphics cards, and --precision f16 means bf16 here; give bf16 or f32, or run on a card (--device cuda)"
        );
    }
}
