//! Flags that have no effect beside others are errors.

use crate::exit::BadInput;
use anyhow::Result;
use clap::ArgMatches;
use clap::parser::ValueSource;

/// Refuses those of the flags `ids` that were given, on the command line or in the configuration file; `reason` says beside what they
/// have no effect, and what would give them one.
pub(super) fn refuse(matches: &ArgMatches, ids: &[&str], reason: &str) -> Result<()> {
    let given: Vec<String> = ids
        .iter()
        .filter(|id| is_given(matches, id))
        .map(|id| format!("--{}", id.replace('_', "-")))
        .collect();
    if given.is_empty() {
        return Ok(());
    }
    let verb = if given.len() == 1 { "has" } else { "have" };
    let text = format!("{} {verb} no effect {reason}", given.join(", "));
    Err(anyhow::Error::msg(text).context(BadInput))
}

/// Whether a flag was given, on the command line or in the configuration file.
pub(super) fn is_given(matches: &ArgMatches, id: &str) -> bool {
    // Some commands have not all of the flags.
    let is_there = matches.try_contains_id(id).is_ok();
    is_there && matches.value_source(id) == Some(ValueSource::CommandLine)
}
