//! The number format on the command line.

use crate::exit::BadInput;
use anyhow::Result;
use clap::ArgMatches;
use promptfed_synth::engines::DeviceKind;
use promptfed_synth::engines::sd::Precision;

/// Refuses half precision where no flag asks for a graphics card: processors have none, and would compute in another format.
pub(super) fn refuse_half_on_cpu(matches: &ArgMatches) -> Result<()> {
    let matches = matches.subcommand().map_or(matches, |(_, inner)| inner);
    let is_half = matches!(matches.try_get_one("precision"), Ok(Some(Precision::F16)));
    let asks_for_card = matches
        .ids()
        .any(|id| matches!(matches.try_get_one(id.as_str()), Ok(Some(DeviceKind::Cuda))));
    if is_half && !asks_for_card {
        let text = "--precision f16 is for graphics cards alone; give bf16 or f32 here, or run on a card (--device cuda)";
        return Err(anyhow::Error::msg(text).context(BadInput));
    }
    Ok(())
}
